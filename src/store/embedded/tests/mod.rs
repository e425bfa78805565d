//! What only the embedded store does.
