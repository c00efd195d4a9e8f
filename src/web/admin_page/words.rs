//! The words of the public interface as the page says them to a person, in both languages.

use crate::db::users::Attention;
use crate::error::Code;
use crate::kyc::status::{Source, Status};
use crate::kyc::verification::Outcome;
use crate::web::page::Language;

/// A status.
pub fn status(language: Language, status: Status) -> &'static str {
    match status {
        Status::Pending => language.choose("Pending", "Pendiente"),
        Status::Submitted => language.choose("Submitted", "Enviado"),
        Status::InReview => language.choose("In review", "En revisión"),
        Status::Verified => language.choose("Verified", "Verificado"),
        Status::Rejected => language.choose("Rejected", "Rechazado"),
    }
}

/// A word of ours as a page shows it.
pub struct Badge {
    /// The word.
    pub word: &'static str,
    /// What it is called.
    pub label: &'static str,
}

/// A status, to be shown.
pub fn status_badge(language: Language, shown: Status) -> Badge {
    Badge {
        word: shown.as_str(),
        label: status(language, shown),
    }
}

/// An outcome, to be shown.
pub fn outcome_badge(language: Language, shown: Outcome) -> Badge {
    Badge {
        word: shown.as_str(),
        label: outcome(language, shown),
    }
}

/// What moved a user.
pub fn source(language: Language, source: Source) -> &'static str {
    match source {
        Source::Link => language.choose("Link", "Enlace"),
        Source::Webhook => language.choose("Webhook", "Webhook"),
        Source::Provider => language.choose("Look at the provider", "Consulta al proveedor"),
        Source::Manual => language.choose("By hand", "A mano"),
    }
}

/// What became of a delivery.
pub fn outcome(language: Language, outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Applied => language.choose("Applied", "Aplicada"),
        Outcome::Repeated => language.choose("Repeated", "Repetida"),
        Outcome::Stale => language.choose("Stale", "Atrasada"),
        Outcome::Unmatched => language.choose("Unmatched", "Sin usuario"),
        Outcome::Held => language.choose("Held", "Retenida"),
        Outcome::Ignored => language.choose("Ignored", "Ignorada"),
        Outcome::Unreadable => language.choose("Unreadable", "Ilegible"),
    }
}

/// The same in a sentence.
pub fn outcome_means(language: Language, outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Applied => language.choose("It moved the user.", "Movió al usuario."),
        Outcome::Repeated => language.choose(
            "It says what was known already.",
            "Dice lo que ya se sabía.",
        ),
        Outcome::Stale => language.choose(
            "It is older than what was known.",
            "Es más antigua que lo que ya se sabía.",
        ),
        Outcome::Unmatched => language.choose(
            "It waits for its user to be registered.",
            "Espera a que se registre su usuario.",
        ),
        Outcome::Held => language.choose(
            "It waits for the provider to confirm it.",
            "Espera a que el proveedor la confirme.",
        ),
        Outcome::Ignored => language.choose(
            "It is of another type than KYC, or its event is unknown.",
            "Es de un tipo distinto de KYC, o su evento es desconocido.",
        ),
        Outcome::Unreadable => language.choose(
            "Its signature was right, and its body cannot be read.",
            "Su firma era correcta y su cuerpo no se puede leer.",
        ),
    }
}

/// Why a person might have to see to a user.
pub fn attention(language: Language, attention: Attention) -> &'static str {
    match attention {
        Attention::Held => language.choose("Held", "Retenido"),
        Attention::Conflict => language.choose("Conflict", "Conflicto"),
        Attention::Stalled => language.choose("Stalled", "Estancado"),
        Attention::Unconfirmed => language.choose("Unconfirmed", "Sin confirmar"),
        Attention::Unusable => language.choose("Unusable answer", "Respuesta inutilizable"),
    }
}

/// The same in a sentence.
pub fn attention_means(language: Language, attention: Attention) -> &'static str {
    match attention {
        Attention::Held => language.choose(
            "An event waits for the provider to confirm it",
            "Un evento espera a que el proveedor lo confirme",
        ),
        Attention::Conflict => language.choose(
            "What the provider sent and what it answers disagree",
            "Lo que el proveedor envió y lo que responde no coinciden",
        ),
        Attention::Stalled => language.choose(
            "Nothing has been heard for a month",
            "No se sabe nada desde hace un mes",
        ),
        Attention::Unconfirmed => language.choose(
            "No check confirmed the verified in time",
            "Ninguna consulta confirmó el verified a tiempo",
        ),
        Attention::Unusable => language.choose(
            "The provider's last answer was unusable",
            "La última respuesta del proveedor no se pudo utilizar",
        ),
    }
}

/// What an act has come to.
pub struct Said {
    /// Whether it is what was wanted.
    pub good: bool,
    /// In words.
    pub text: &'static str,
}

/// What the word in the address of a page means that an act has led to; `None` where it is none of ours.
pub fn said(language: Language, word: &str) -> Option<Said> {
    let good = match word {
        "confirmed" => language.choose(
            "The provider was asked. See below where the user stands now.",
            "Se consultó al proveedor. Abajo se ve el estado actual.",
        ),
        "overridden" => language.choose(
            "The status was set by hand. Your reason stands in the timeline.",
            "El estado se fijó a mano. Su motivo figura en la cronología.",
        ),
        "refolded" => language.choose(
            "The delivery was processed again.",
            "La entrega se procesó de nuevo.",
        ),
        "moved" => {
            let text = language.choose(
                "Nothing was changed: the status has changed since you opened the page. See below where it stands.",
                "No se ha cambiado nada: el estado cambió desde que abrió la página. Abajo se ve el actual.",
            );
            return Some(Said { good: false, text });
        }
        "reason" => {
            let text = language.choose(
                "Nothing was changed: choose a status, and give a reason of 1 to 500 characters in one line.",
                "No se ha cambiado nada: elija un estado e indique un motivo de 1 a 500 caracteres en una línea.",
            );
            return Some(Said { good: false, text });
        }
        word => {
            let code = Code::ALL.into_iter().find(|code| code.as_str() == word)?;
            let text = title(language, code);
            return Some(Said { good: false, text });
        }
    };
    Some(Said {
        good: true,
        text: good,
    })
}

/// What a code means.
pub fn title(language: Language, code: Code) -> &'static str {
    let (_, _, english) = code.row();
    let spanish = match code {
        Code::MalformedJson => "El cuerpo no es el JSON que debería ser",
        Code::InvalidQuery => "Los parámetros de la dirección no son correctos",
        Code::InvalidCursor => "El cursor no es ninguno de los nuestros",
        Code::BadRequest => "La solicitud no se entiende",
        Code::Unauthorized => {
            return language.choose("Your session is over", "La sesión ha terminado");
        }
        Code::ForeignOrigin => "La solicitud viene de otra página",
        Code::UserNotFound => "No existe ese usuario",
        Code::ProviderUserNotFound => "El proveedor no conoce al usuario",
        Code::NotFound => "Aquí no hay nada",
        Code::MethodNotAllowed => "Aquí no se admite ese método",
        Code::NotAcceptable => {
            return language.choose(
                "Only a page can be answered",
                "Solo se puede responder con una página",
            );
        }
        Code::RequestTimeout => "La solicitud tardó demasiado en llegar",
        Code::AlreadyVerified => "El usuario ya está verificado",
        Code::IdempotencyKeyReused => "La Idempotency-Key pertenece a otra solicitud",
        Code::ExternalIdTaken => "El externalUserId pertenece a otro usuario",
        Code::RequestInProgress => "La solicitud sigue en curso",
        Code::BodyTooLarge => "El cuerpo es demasiado grande",
        Code::UriTooLong => "La dirección es demasiado larga",
        Code::UnsupportedMediaType => {
            return language.choose(
                "The body must be a form",
                "El cuerpo debe ser un formulario",
            );
        }
        Code::InvalidRequest => "La solicitud tiene errores",
        Code::ProviderRejected => "El proveedor rechazó la solicitud",
        Code::RateLimited => {
            return language.choose(
                "This is done too often; try again in a moment",
                "Se hace con demasiada frecuencia; inténtelo de nuevo en un momento",
            );
        }
        Code::HeadersTooLarge => "Las cabeceras son demasiado grandes",
        Code::InternalError => "Algo ha fallado aquí",
        Code::ProviderUnauthorized => "El proveedor rechazó la clave del socio",
        Code::ProviderInvalidResponse => "La respuesta del proveedor no sirve",
        Code::ProviderUnavailable => "El proveedor no está disponible",
        Code::ProviderRateLimited => "El proveedor limita la frecuencia",
        Code::NotConfirmed => "El estado no está confirmado",
        Code::StoreUnavailable => "La base de datos no está disponible",
        Code::Overloaded => "Se pide demasiado a la vez",
    };
    language.choose(english, spanish)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_act_came_to_is_said_in_our_words_alone() {
        for word in ["confirmed", "overridden", "refolded"] {
            assert!(said(Language::English, word).unwrap().good);
        }
        for word in ["reason", "provider_unavailable"] {
            assert!(!said(Language::Spanish, word).unwrap().good);
        }
        assert!(said(Language::English, "<script>").is_none());
    }

    #[test]
    fn nothing_is_left_untranslated() {
        for code in Code::ALL {
            let both = [Language::English, Language::Spanish].map(|language| title(language, code));
            assert_ne!(both[0], both[1]);
        }
    }
}
