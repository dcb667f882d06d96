//! What identity providers send.
