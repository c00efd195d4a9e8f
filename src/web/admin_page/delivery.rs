//! `GET /admin/deliveries/{delivery}`: one delivery, what it would do if it came again, and the button that has it do so.

use std::collections::HashMap;

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::web::Path;
use askama::Template;

use super::mask::masked;
use super::times::When;
use super::visitor::Visitor;
use super::words::{self, Badge};
use super::{After, Frame, Part, assets, show};
use crate::app::App;
use crate::db::deliveries::{self, Delivery};
use crate::db::users::User;
use crate::error::{Code, Error};
use crate::kyc::verification::Trust;
use crate::refold::{self, WhyNot, Would};
use crate::web::extract::Query;
use crate::web::page::Language;

/// The address of the page of the delivery with that id.
pub fn address(id: &str) -> String {
    format!("/admin/deliveries/{id}")
}

/// There is no delivery with the id in the address.
pub fn not_found() -> Error {
    Error::new(Code::NotFound, "There is no delivery with this id.")
}

#[derive(Template)]
#[template(config = "src/web/admin_page/askama.toml", path = "delivery.html")]
struct Shown {
    frame: Frame,
    id: String,
    event: String,
    family: String,
    partner: String,
    external_user_id: Option<String>,
    /// The provider's id of the user it was matched with, and the address of that user's page.
    user: Option<(String, String)>,
    attempt: Option<i64>,
    outcome: Badge,
    outcome_means: &'static str,
    repeats: i64,
    received: When,
    last_received: When,
    /// As it came, without what is nobody's business here; none where it was not kept.
    body: Option<String>,
    /// Length and SHA-256 of a body that cannot be read.
    unread: Option<(i64, Option<String>)>,
    /// The label of the secret that verified it.
    secret: Option<String>,
    would: String,
    /// What is seen of that, for the act to say; none where there is nothing to do.
    seen: Option<String>,
    act: String,
}

/// The page.
pub async fn one(
    visitor: Visitor,
    id: Path<String>,
    query: Query<After>,
) -> Result<HttpResponse, Error> {
    let (id, trusts, now) = (id.into_inner(), trusts(&visitor), visitor.clock.now());
    let found = visitor.db.read(move |conn| {
        let Some((delivery, user)) = deliveries::by_id(conn, &id)? else {
            return Ok(None);
        };
        let trust = trusts(&delivery.partner);
        let would = refold::would(conn, trust, &delivery, now)?;
        Ok(Some((delivery, user, would)))
    });
    let (delivery, user, would) = found.await?.ok_or_else(not_found)?;
    let language = visitor.language;
    let mut shown = Shown::new(&visitor, delivery, user, &would);
    shown.frame.said = query.0.said(language);
    Ok(show(StatusCode::OK, language, &shown))
}

/// How far each partner's webhooks are trusted, by its id.
pub fn trusts(app: &App) -> impl Fn(&str) -> Trust + Send + 'static {
    let partners = app.config.partners.iter();
    let known: HashMap<String, Trust> = partners
        .map(|partner| (partner.id.clone(), partner.trust))
        .collect();
    let otherwise = app.config.webhooks;
    move |partner| known.get(partner).copied().unwrap_or(otherwise)
}

impl Shown {
    fn new(visitor: &Visitor, delivery: Delivery, user: Option<User>, would: &Would) -> Shown {
        let (language, now) = (visitor.language, visitor.clock.now());
        let unknown = || language.choose("unknown", "desconocido").to_owned();
        Shown {
            frame: Frame::new(visitor, Part::Deliveries),
            event: delivery.event.unwrap_or_else(unknown),
            family: delivery.family.unwrap_or_else(unknown),
            partner: delivery.partner,
            external_user_id: delivery.external_user_id,
            user: user.map(|user| {
                let address = super::user::address(&user.id);
                (user.user_id, address)
            }),
            attempt: delivery.attempt,
            outcome: words::outcome_badge(language, delivery.outcome),
            outcome_means: words::outcome_means(language, delivery.outcome),
            repeats: delivery.repeats,
            received: When::new(language, delivery.received_at, now),
            last_received: When::new(language, delivery.last_received_at, now),
            body: delivery.body.as_deref().map(masked),
            unread: delivery
                .body_length
                .map(|length| (length, delivery.body_sha256.map(hex::encode))),
            secret: delivery.secret,
            would: say(language, would),
            seen: seen(would),
            act: address(&delivery.id),
            id: delivery.id,
        }
    }
}

/// What a delivery would do, as a form has it, so that an act that comes too late can be told; `None` where it would do nothing.
pub fn seen(would: &Would) -> Option<String> {
    match would {
        Would::Nothing(_) => None,
        Would::Fold {
            outcome,
            before,
            after,
            ..
        } => {
            let words = [outcome.as_str(), before.as_str(), after.as_str()];
            Some(words.join("."))
        }
    }
}

fn say(language: Language, would: &Would) -> String {
    let (user_id, outcome, before, after, look) = match would {
        Would::Nothing(why_not) => return say_not(language, *why_not).to_owned(),
        Would::Fold {
            user_id,
            outcome,
            before,
            after,
            look,
            ..
        } => (user_id, *outcome, *before, *after, *look),
    };
    let outcome = words::outcome(language, outcome).to_lowercase();
    let (before, after) = (
        words::status(language, before),
        words::status(language, after),
    );
    let mut said = if before == after {
        language.choose(
            format!(
                "It would count as {outcome} for user {user_id}, whose status would stay {before}."
            ),
            format!(
                "Contaría como {outcome} para el usuario {user_id}, cuyo estado seguiría siendo {before}."
            ),
        )
    } else {
        language.choose(
            format!(
                "It would count as {outcome} and move user {user_id} from {before} to {after}."
            ),
            format!(
                "Contaría como {outcome} y movería al usuario {user_id} de {before} a {after}."
            ),
        )
    };
    if look {
        said.push_str(language.choose(
            " A look at the provider would follow.",
            " Después se consultaría al proveedor.",
        ));
    }
    said
}

fn say_not(language: Language, why_not: WhyNot) -> &'static str {
    match why_not {
        WhyNot::OtherType => language.choose(
            "Nothing: it is of another type than KYC.",
            "Nada: es de un tipo distinto de KYC.",
        ),
        WhyNot::Unreadable => language.choose(
            "Nothing: its body cannot be read.",
            "Nada: su cuerpo no se puede leer.",
        ),
        WhyNot::UnknownEvent => language.choose(
            "Nothing: its event is unknown.",
            "Nada: su evento es desconocido.",
        ),
        WhyNot::Nobody => language.choose(
            "Nothing: the partner has no user with this externalUserId. It is folded by itself as soon as there is one.",
            "Nada: el socio no tiene ningún usuario con este externalUserId. Se procesa por sí sola en cuanto lo haya.",
        ),
        WhyNot::SomebodyElse => language.choose(
            "Nothing: its user has another externalUserId by now, and the one it names is somebody else's.",
            "Nada: su usuario ya tiene otro externalUserId, y el que nombra es de otra persona.",
        ),
    }
}
