//! `POST /v1/kyc/links`: every rule of it, and what reaches the provider.
