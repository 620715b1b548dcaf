//! The one ordered list of layers every call passes, outermost last.
//!
//! Read it from the bottom up to follow a call on its way down. Layers are plain structs
//! around the next one, boxed once at the end, so a layer costs a call, not a pointer.

use message::BoxService;

use crate::route::Route;
use crate::trace::Trace;

/// Puts the layers around the route.
pub fn build(route: Route) -> BoxService {
    let service = route; // innermost: picks the target; everything above works whatever the target is
    let service = Trace::new(service); // outermost: what any layer refuses is logged, too
    BoxService::new(service)
}
