//! What makes it a cloud: keys, routing, and the ordered stack of layers every Call passes.
