//! What partners are told when the provider refuses, fails or talks nonsense.
