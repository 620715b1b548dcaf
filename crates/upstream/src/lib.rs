//! A Call sent to another model server over HTTP.
