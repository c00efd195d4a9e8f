//! Says in one plain paragraph, in either language, why a user stands where it stands: what is known and from where, what is waited for, when
//! the provider is asked next, and what a person can do.

use std::time::Duration;

use crate::capa::details::Unusable;
use crate::clock::Timestamp;
use crate::db::deliveries::{self, Delivery};
use crate::db::looks::{self, Memory};
use crate::db::overrides::{self, Override};
use crate::db::users::{self, UserNow, View};
use crate::db::{Conn, QueryResult};
use crate::kyc::looks::STALLED;
use crate::kyc::status::{Source, Status};
use crate::kyc::verification::Unconfirmed;
use crate::language::Language;

/// All that the paragraph is made of.
#[derive(Clone, Debug)]
pub struct Known {
    user: UserNow,
    memory: Memory,
    /// The delivery that came last.
    delivery: Option<Delivery>,
    /// The override of this attempt that counts.
    order: Option<Override>,
}

/// Reads what is known of a user; `None` when the partner has none with that id.
pub fn known(
    conn: &mut Conn,
    partner: &str,
    user_id: &str,
    view: View,
) -> QueryResult<Option<Known>> {
    let Some(user) = users::find(conn, partner, user_id)? else {
        return Ok(None);
    };
    let memory = looks::of(conn, &user.id)?;
    let came = deliveries::of_user(conn, &user)?;
    let orders = overrides::of_user(conn, &user.id)?;
    let user = user.at(view);
    Ok(Some(Known::new(&user, &memory, &came, &orders)))
}

impl Known {
    /// Puts together what has been read of a user already: all that came for it and all that admins set, both oldest first.
    pub fn new(user: &UserNow, memory: &Memory, came: &[Delivery], orders: &[Override]) -> Known {
        let last = came.iter().max_by_key(|delivery| delivery.last_received_at);
        let order = orders.last();
        Known {
            user: user.clone(),
            memory: memory.clone(),
            delivery: last.cloned(),
            order: order
                .filter(|order| order.attempt == user.attempt && user.overridden)
                .cloned(),
        }
    }

    /// The paragraph, as of `now`. Times in it are RFC 3339, and the interface's own words are as they are in every language.
    pub fn explain(&self, language: Language, now: Timestamp) -> String {
        let parts = [
            self.stands(language),
            self.heard(language),
            self.asked(language),
            self.waited_for(language),
            self.next(language, now),
            self.advice(language).to_owned(),
        ];
        let said: Vec<String> = parts.into_iter().filter(|part| !part.is_empty()).collect();
        said.join(" ")
    }

    fn stands(&self, language: Language) -> String {
        let (user, shown) = (&self.user, self.user.state().shown());
        let from = match (user.source, &self.order) {
            (
                _,
                Some(Override {
                    admin, at, reason, ..
                }),
            ) => language.choose(
                format!("because {admin} set it by hand on {at}, for this reason: “{reason}”"),
                format!("porque {admin} lo fijó a mano el {at}, por este motivo: “{reason}”"),
            ),
            (source, None) => because(language, source).to_owned(),
        };
        let (attempt, since) = (user.attempt, user.updated_at);
        language.choose(
            format!("In attempt {attempt} the user is {shown} since {since}, {from}."),
            format!(
                "En el intento {attempt} el usuario figura como {shown} desde el {since}, {from}."
            ),
        )
    }

    fn heard(&self, language: Language) -> String {
        let Some(delivery) = &self.delivery else {
            let never = language.choose(
                "No webhook about the user has ever come.",
                "Nunca ha llegado un webhook sobre el usuario.",
            );
            return never.to_owned();
        };
        let unreadable = language.choose("an unreadable event", "un evento ilegible");
        let event = delivery.event.as_deref().unwrap_or(unreadable);
        let again = match delivery.repeats {
            0 => String::new(),
            more => {
                let times = more + 1;
                language.choose(
                    format!(", which came {times} times so far"),
                    format!(", por {times}.ª vez"),
                )
            }
        };
        let (at, outcome) = (delivery.last_received_at, delivery.outcome.as_str());
        language.choose(
            format!("The last webhook was {event} on {at}{again}; its outcome was “{outcome}”."),
            format!("El último webhook fue {event}, el {at}{again}; su resultado fue “{outcome}”."),
        )
    }

    fn asked(&self, language: Language) -> String {
        let memory = &self.memory;
        let Some(at) = memory.looked_at else {
            let not_yet = language.choose(
                "The provider has not been asked about the user yet.",
                "Todavía no se ha consultado al proveedor sobre el usuario.",
            );
            return not_yet.to_owned();
        };
        let said = match &memory.provider_word {
            Some(word) if !word.is_empty() => language.choose(
                format!("its last word of this attempt is “{word}”"),
                format!("su última palabra sobre este intento es “{word}”"),
            ),
            _ => language
                .choose(
                    "it has given no verdict of this attempt",
                    "no ha dado ningún veredicto sobre este intento",
                )
                .to_owned(),
        };
        let failed = match memory.failures {
            0 => String::new(),
            1 => language
                .choose(
                    " That last time brought no usable answer.",
                    " Esa última vez no hubo una respuesta utilizable.",
                )
                .to_owned(),
            times => language.choose(
                format!(" The last {times} times brought no usable answer."),
                format!(" Las últimas {times} veces no hubo una respuesta utilizable."),
            ),
        };
        let unusable = match self.unusable(language) {
            Some(reason) => language.choose(
                format!(" Its answer was unusable because {reason}."),
                format!(" Su respuesta no se pudo utilizar porque {reason}."),
            ),
            None => String::new(),
        };
        language.choose(
            format!("The provider was last asked on {at}; {said}.{failed}{unusable}"),
            format!("Se consultó al proveedor por última vez el {at}; {said}.{failed}{unusable}"),
        )
    }

    /// Why the provider's last answer was unusable.
    fn unusable(&self, language: Language) -> Option<&'static str> {
        let unusable = Unusable::from_word(self.memory.unusable.as_deref()?)?;
        Some(match unusable {
            Unusable::Status => language.choose(
                "its HTTP status was a success other than 200",
                "su estado HTTP fue un éxito distinto de 200",
            ),
            Unusable::NoJson => language.choose("it was no JSON object", "no era un objeto JSON"),
            Unusable::NotSuccess => {
                language.choose("it said success: false", "decía success: false")
            }
            Unusable::DoubledName => language.choose(
                "a name stood in it twice",
                "un nombre aparecía en ella dos veces",
            ),
            Unusable::NoReference => {
                language.choose("it did not name the user", "no nombraba al usuario")
            }
            Unusable::OtherReference => {
                language.choose("it named another user", "nombraba a otro usuario")
            }
            Unusable::UnknownWord => language.choose(
                "its result was an unknown word",
                "su resultado era una palabra desconocida",
            ),
            Unusable::NoSession => {
                language.choose("it named no session", "no nombraba ninguna sesión")
            }
            Unusable::OlderSession => language.choose(
                "its session was older than the known one",
                "su sesión era anterior a la conocida",
            ),
        })
    }

    fn waited_for(&self, language: Language) -> String {
        let user = &self.user;
        let unconfirmed = self.unconfirmed(language);
        if self.memory.conflict {
            let conflict = language.choose(
                "Webhooks and the provider's answer disagree, and that did not settle by itself.",
                "Los webhooks y la respuesta del proveedor no coinciden, y eso no se resolvió por sí solo.",
            );
            return format!("{unconfirmed}{conflict}");
        }
        let waits = match (user.held, user.status) {
            (Some(held), Status::Verified) => language.choose(
                format!("The user was verified, but an event says {held}: until a check confirms one or the other it reads in_review."),
                format!("El usuario estaba en verified, pero un evento dice {held}: hasta que una consulta confirme lo uno o lo otro, figura como in_review."),
            ),
            (Some(held), _) => language.choose(
                format!("An event that says {held} waits for the provider to confirm it."),
                format!("Un evento que dice {held} espera a que el proveedor lo confirme."),
            ),
            (None, status) if status.is_final() && user.unconfirmed.is_none() => language
                .choose("Nothing is waited for.", "No se espera nada.")
                .to_owned(),
            (None, status) if status.is_final() => language
                .choose(
                    "A check that agrees is waited for.",
                    "Se espera una consulta que lo confirme.",
                )
                .to_owned(),
            (None, _) => language
                .choose(
                    "The provider's verdict is waited for.",
                    "Se espera el veredicto del proveedor.",
                )
                .to_owned(),
        };
        format!("{unconfirmed}{waits}")
    }

    /// What is known against a verdict that a webhook set, with a space behind it.
    fn unconfirmed(&self, language: Language) -> &'static str {
        match (self.user.unconfirmed, self.user.status) {
            (None, _) => "",
            (Some(Unconfirmed::TimedOut), Status::Verified) => language.choose(
                "A webhook set the verdict and no check has confirmed it in time, so it reads in_review. ",
                "Un webhook fijó el veredicto y ninguna consulta lo ha confirmado a tiempo, por lo que figura como in_review. ",
            ),
            (Some(Unconfirmed::Denied), Status::Verified) => language.choose(
                "A webhook set the verdict and the provider has none when it is asked, so it reads in_review and the user may have a new link. ",
                "Un webhook fijó el veredicto y el proveedor no tiene ninguno cuando se le consulta, por lo que figura como in_review y el usuario puede recibir un enlace nuevo. ",
            ),
            (Some(_), _) => language.choose(
                "A webhook set the verdict and no check has confirmed it yet. ",
                "Un webhook fijó el veredicto y ninguna consulta lo ha confirmado todavía. ",
            ),
        }
    }

    fn next(&self, language: Language, now: Timestamp) -> String {
        match self.memory.due_at {
            None => language
                .choose(
                    "The provider is never asked, because webhooks.confirm is never.",
                    "Nunca se consulta al proveedor, porque webhooks.confirm es never.",
                )
                .to_owned(),
            Some(due) if due <= now => language
                .choose(
                    "The next look at the provider is due now.",
                    "La próxima consulta al proveedor toca ahora.",
                )
                .to_owned(),
            Some(due) => {
                let span = span(due.since(now));
                language.choose(
                    format!("The next look at the provider is due in {span}."),
                    format!("La próxima consulta al proveedor será dentro de {span}."),
                )
            }
        }
    }

    fn advice(&self, language: Language) -> &'static str {
        let user = &self.user;
        if self.memory.step == STALLED {
            language.choose(
                "Nothing has been heard for a month: ask the user to try again with a new link, or set the status by hand.",
                "No se ha sabido nada desde hace un mes: conviene pedir al usuario que lo intente otra vez con un enlace nuevo, o fijar el estado a mano.",
            )
        } else if self.memory.conflict || user.state().needs_confirmation() {
            language.choose(
                "A person can have the provider asked at once (confirm), look the case up in the provider's dashboard, or set the status by hand with a reason (override).",
                "Una persona puede hacer que se consulte al proveedor de inmediato (confirm), revisar el caso en el panel del proveedor o fijar el estado a mano con un motivo (override).",
            )
        } else if self.memory.failures > 3 {
            language.choose(
                "A person can check the provider's state and this partner's provider key.",
                "Una persona puede revisar el estado del proveedor y la clave con la que este socio accede a él.",
            )
        } else if user.status == Status::Rejected {
            language.choose(
                "A new link opens the next attempt.",
                "Un enlace nuevo abre el siguiente intento.",
            )
        } else if !user.status.is_final() {
            language.choose(
                "A person can have the provider asked at once (confirm), or the partner can ask for a new link.",
                "Una persona puede hacer que se consulte al proveedor de inmediato (confirm), o el socio puede pedir un enlace nuevo.",
            )
        } else {
            ""
        }
    }
}

/// What moved the status, where it was no admin.
fn because(language: Language, source: Source) -> &'static str {
    match source {
        Source::Link => language.choose(
            "because a link was asked for and nothing moved it since",
            "porque se pidió un enlace y desde entonces nada lo ha movido",
        ),
        Source::Webhook => language.choose(
            "because a signed webhook said so",
            "porque así lo dijo un webhook firmado",
        ),
        Source::Provider => language.choose(
            "because the provider answered so, or confirmed nothing in time",
            "porque así respondió el proveedor, o no confirmó nada a tiempo",
        ),
        Source::Manual => language.choose("because it was imported so", "porque así se importó"),
    }
}

/// Two units at most: what a person needs to know.
fn span(span: Duration) -> String {
    let seconds = span.as_secs();
    let (days, hours) = (seconds / 86_400, seconds / 3600 % 24);
    let (minutes, rest) = (seconds / 60 % 60, seconds % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{rest} s"),
        (0, 0, _) => format!("{minutes} min {rest} s"),
        (0, _, _) => format!("{hours} h {minutes} min"),
        _ => format!("{days} d {hours} h"),
    }
}

#[cfg(test)]
mod tests;
