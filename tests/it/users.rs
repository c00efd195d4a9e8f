//! `GET /v1/kyc/users…`: the document, the history, the list and its pages.
