//! The one shape of everything that answers a call: a layer of the platform, the
//! engine, an upstream.
//!
//! Ours rather than tower's: a call needs no `poll_ready` (admission is a layer that
//! waits inside `call`) and no `&mut self`, so layers nest as plain structs and the
//! whole stack is boxed once, at its end.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use crate::{Call, Failure, Reply};

/// Answers calls.
pub trait Service: Send + Sync + 'static {
    /// Answers one call. Dropping the future, or the reply's stream, cancels the work.
    ///
    /// # Errors
    /// Any [`Failure`] met before the first event; later ones come in the stream.
    fn call(&self, call: Call) -> impl Future<Output = Result<Reply, Failure>> + Send;
}

type BoxFuture = Pin<Box<dyn Future<Output = Result<Reply, Failure>> + Send>>;

trait DynService: Send + Sync {
    fn call_boxed(self: Arc<Self>, call: Call) -> BoxFuture;
}

impl<S: Service> DynService for S {
    fn call_boxed(self: Arc<Self>, call: Call) -> BoxFuture {
        Box::pin(async move { Service::call(&*self, call).await })
    }
}

/// Any service, by pointer; cheap to clone.
#[derive(Clone)]
pub struct BoxService(Arc<dyn DynService>);

impl BoxService {
    /// Erases a service's type.
    pub fn new(service: impl Service) -> Self {
        Self(Arc::new(service))
    }
}

impl Service for BoxService {
    fn call(&self, call: Call) -> impl Future<Output = Result<Reply, Failure>> + Send {
        Arc::clone(&self.0).call_boxed(call)
    }
}

impl fmt::Debug for BoxService {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("BoxService")
    }
}

struct ServiceFn<F>(F);

impl<F, Fut> Service for ServiceFn<F>
where
    F: Fn(Call) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<Reply, Failure>> + Send,
{
    fn call(&self, call: Call) -> impl Future<Output = Result<Reply, Failure>> + Send {
        (self.0)(call)
    }
}

/// A service from a function: for tests and small adapters.
pub fn service_fn<F, Fut>(function: F) -> impl Service
where
    F: Fn(Call) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<Reply, Failure>> + Send,
{
    ServiceFn(function)
}
