//! What the front door stands before: handed in by the binary.

use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

use message::{BoxService, Failure, ModelCard, Principal, Secret};
use platform::responses::Responses;

/// The models known now.
pub type Cards = Arc<dyn Fn() -> Arc<[ModelCard]> + Send + Sync>;

/// What `/readyz` tells now.
pub type Readiness = Arc<dyn Fn() -> Ready + Send + Sync>;

/// Whether calls can be answered.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ready {
    /// What is not ready yet, in words; empty when calls can be answered.
    pub waiting_for: Vec<String>,
    /// Models served here, and the state of each in words. One that is asleep is ready: it
    /// is loaded when it is called.
    pub models: Vec<(String, String)>,
}

/// Everything [`serve`](crate::serve) needs to answer requests. Cheap to clone.
#[derive(Clone)]
pub struct Gateway {
    /// Answers calls.
    pub service: BoxService,
    /// Who may call.
    pub auth: Auth,
    /// The models to list.
    pub cards: Cards,
    /// What `/readyz` says.
    pub readiness: Readiness,
    /// Where responses are kept; `None`: nowhere.
    pub responses: Option<Responses>,
}

impl fmt::Debug for Gateway {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gateway").field("auth", &self.auth).finish_non_exhaustive()
    }
}

/// Who may call.
#[derive(Clone)]
pub enum Auth {
    /// Whoever holds a key of this ring.
    Keys(Arc<dyn KeyRing>),
    /// Anybody, with any credential or none: only on loopback addresses.
    Dev,
}

impl fmt::Debug for Auth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Keys(_) => "Keys",
            Self::Dev => "Dev",
        })
    }
}

/// The keys known now: looked up for every request, so it must answer from memory.
pub trait KeyRing: Send + Sync {
    /// Who a bearer secret stands for.
    ///
    /// # Errors
    /// [`Unauthenticated`](message::ErrorKind::Unauthenticated): unknown, expired or revoked.
    fn find_bearer(&self, secret: &Secret, now: SystemTime) -> Result<Principal, Failure>;

    /// Who an AWS access key id stands for, and the secret its signatures are made with.
    ///
    /// # Errors
    /// [`Unauthenticated`](message::ErrorKind::Unauthenticated): unknown, expired or revoked.
    fn find_access_key(&self, access_key_id: &str, now: SystemTime) -> Result<(Principal, Secret), Failure>;
}

impl KeyRing for platform::keys::Keys {
    fn find_bearer(&self, secret: &Secret, now: SystemTime) -> Result<Principal, Failure> {
        self.find_bearer(secret, now)
    }

    fn find_access_key(&self, access_key_id: &str, now: SystemTime) -> Result<(Principal, Secret), Failure> {
        self.find_access_key(access_key_id, now)
    }
}
