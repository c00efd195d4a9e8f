//! What may be kept of a refusal, so that it can be given again.

use serde::{Deserialize, Serialize};

use super::{Code, Error, ProviderSays};

/// A refusal without what the provider wrote: its sentence may repeat what it was sent of a person.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Refusal {
    code: String,
    detail: String,
    provider_code: Option<String>,
}

impl Error {
    /// What may be kept of it; none where it says to come again, or is a failure.
    pub fn refusal(&self) -> Option<Refusal> {
        if self.is_ours() || self.0.retry_after.is_some() {
            return None;
        }
        let said = self.0.provider.as_ref().and_then(|said| said.code.clone());
        let is_word = |code: &String| {
            let plain = |byte: u8| byte.is_ascii_uppercase() || byte == b'_';
            code.len() <= 64 && code.bytes().all(plain)
        };
        Some(Refusal {
            code: self.0.code.as_str().to_owned(),
            detail: self.0.detail.clone(),
            provider_code: said.filter(is_word),
        })
    }
}

impl Refusal {
    /// Whether its code is one of ours.
    pub fn is_known(&self) -> bool {
        self.known().is_some()
    }

    fn known(&self) -> Option<Code> {
        let mut codes = Code::ALL.into_iter();
        codes.find(|code| code.as_str() == self.code)
    }
}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Error {
        let code = refusal.known().unwrap_or(Code::InternalError);
        let mut error = Error::new(code, refusal.detail);
        error.0.provider = refusal.provider_code.map(|code| ProviderSays {
            status: error.0.code.row().0,
            code: Some(code),
            message: None,
        });
        error
    }
}
