//! Our own CA and server certificate.
