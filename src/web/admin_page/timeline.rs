//! What happened to a user, the last first: attempts, links, deliveries, looks and what was done by hand, in one line of time.

use super::times::When;
use super::user::Facts;
use super::words;
use crate::clock::Timestamp;
use crate::db::acts::REFOLD;
use crate::db::deliveries::Delivery;
use crate::db::transitions::Transition;
use crate::kyc::status::Source;
use crate::web::page::Language;

/// One thing that happened.
pub struct Event {
    at: Timestamp,
    /// When.
    pub when: When,
    /// Which attempt it belongs to, where it belongs to one.
    pub attempt: Option<i64>,
    /// Whether it moved the user, or was done by hand, or neither; as the style sheet has it.
    pub kind: &'static str,
    /// What happened.
    pub title: String,
    /// What else there is to say. What others wrote stands nowhere else.
    pub details: Vec<String>,
    /// The id of the delivery that it is about.
    pub delivery: Option<String>,
}

/// All of them. A transition and what caused it at the same moment are one.
pub fn of(language: Language, facts: &Facts, now: Timestamp) -> Vec<Event> {
    let when = |at| When::new(language, at, now);
    let mut events = Vec::new();
    let at_once = |transition: &Transition, delivery: &Delivery| {
        let is_cause = transition.delivery_id.as_ref() == Some(&delivery.id);
        is_cause && transition.at == delivery.received_at
    };
    for transition in &facts.history {
        let mut cause = facts.deliveries.iter();
        let cause = cause.find(|delivery| at_once(transition, delivery));
        let by_override = facts.overrides.iter().any(|act| act.at == transition.at);
        if transition.source != Source::Manual || !by_override {
            events.push(moved(language, transition, cause, now));
        }
    }
    for delivery in &facts.deliveries {
        let mut history = facts.history.iter();
        if !history.any(|transition| at_once(transition, delivery)) {
            events.push(came(language, delivery, now));
        }
    }
    for act in &facts.overrides {
        let (from, to) = (
            words::status(language, act.from_status),
            words::status(language, act.to_status),
        );
        events.push(Event {
            at: act.at,
            when: when(act.at),
            attempt: Some(act.attempt),
            kind: "by_hand",
            title: language.choose(
                format!("{} set the status by hand: {from} → {to}", act.admin),
                format!("{} fijó el estado a mano: {from} → {to}", act.admin),
            ),
            details: vec![format!("“{}”", act.reason)],
            delivery: None,
        });
    }
    for act in &facts.acts {
        let (admin, refolded) = (&act.admin, act.kind == REFOLD);
        events.push(Event {
            at: act.at,
            when: when(act.at),
            attempt: None,
            kind: "by_hand",
            title: if refolded {
                language.choose(
                    format!("{admin} had a delivery processed again"),
                    format!("{admin} hizo procesar de nuevo una entrega"),
                )
            } else {
                language.choose(
                    format!("{admin} asked for a look at the provider"),
                    format!("{admin} pidió consultar al proveedor"),
                )
            },
            details: Vec::new(),
            delivery: act.delivery_id.clone(),
        });
    }
    if let Some(at) = facts.user.link_created_at {
        events.push(Event {
            at,
            when: when(at),
            attempt: Some(facts.user.attempt),
            kind: "",
            title: language
                .choose(
                    "The provider made the last link",
                    "El proveedor creó el último enlace",
                )
                .to_owned(),
            details: Vec::new(),
            delivery: None,
        });
    }
    if let Some(at) = facts.memory.looked_at {
        let word = facts.memory.provider_word.as_deref();
        events.push(Event {
            at,
            when: when(at),
            attempt: None,
            kind: "",
            title: language
                .choose("Last look at the provider", "Última consulta al proveedor")
                .to_owned(),
            details: match word.filter(|word| !word.is_empty()) {
                Some(word) => vec![format!("“{word}”")],
                None => vec![
                    language
                        .choose(
                            "It gave no verdict of this attempt.",
                            "No dio un veredicto sobre este intento.",
                        )
                        .to_owned(),
                ],
            },
            delivery: None,
        });
    }
    // Of what happened at the same time, what was written down later comes first.
    events.reverse();
    events.sort_by_key(|event| std::cmp::Reverse(event.at));
    events
}

fn moved(
    language: Language,
    transition: &Transition,
    delivery: Option<&Delivery>,
    now: Timestamp,
) -> Event {
    let to = words::status(language, transition.to_status);
    let title = match transition.from_status {
        Some(from) => format!("{} → {to}", words::status(language, from)),
        None => language.choose(
            format!("Attempt {} began: {to}", transition.attempt),
            format!("Comenzó el intento {}: {to}", transition.attempt),
        ),
    };
    let by = match (transition.source, transition.from_status) {
        // Who begins by hand was put there by an import.
        (Source::Manual, None) => language.choose("Import", "Importación"),
        (source, _) => words::source(language, source),
    };
    let mut details = match &transition.event {
        Some(event) => vec![format!("{by} {event}")],
        None => vec![by.to_owned()],
    };
    details.extend(delivery.and_then(|delivery| again(language, delivery, now)));
    Event {
        at: transition.at,
        when: When::new(language, transition.at, now),
        attempt: Some(transition.attempt),
        kind: match transition.source {
            Source::Manual => "by_hand",
            _ => "moved",
        },
        title,
        details,
        delivery: transition.delivery_id.clone(),
    }
}

fn came(language: Language, delivery: &Delivery, now: Timestamp) -> Event {
    let event = delivery.event.as_deref().unwrap_or("?");
    let outcome = words::outcome(language, delivery.outcome);
    let mut details = vec![words::outcome_means(language, delivery.outcome).to_owned()];
    details.extend(again(language, delivery, now));
    Event {
        at: delivery.received_at,
        when: When::new(language, delivery.received_at, now),
        attempt: delivery.attempt,
        kind: "",
        title: format!("Webhook {event}: {outcome}"),
        details,
        delivery: Some(delivery.id.clone()),
    }
}

fn again(language: Language, delivery: &Delivery, now: Timestamp) -> Option<String> {
    let last = When::new(language, delivery.last_received_at, now);
    let (plain, times) = (last.plain, delivery.repeats);
    match times {
        0 => None,
        1 => Some(language.choose(
            format!("It came again once, on {plain}."),
            format!("Llegó otra vez, el {plain}."),
        )),
        _ => Some(language.choose(
            format!("It came again {times} times, the last on {plain}."),
            format!("Llegó otras {times} veces; la última, el {plain}."),
        )),
    }
}
