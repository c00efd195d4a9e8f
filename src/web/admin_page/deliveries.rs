//! `GET /admin/deliveries`: every webhook whose signature was right, the newest first, a page at a time.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use askama::Template;
use serde::Deserialize;

use super::filters::{self, Age, Choice};
use super::times::When;
use super::visitor::Visitor;
use super::words::Badge;
use super::{Frame, Part, assets, show, words};
use crate::db::deliveries::{self, Delivery, Filter};
use crate::error::Error;
use crate::kyc::verification::Outcome;
use crate::web::documents::{Cut, word};
use crate::web::extract::Query;

const PATH: &str = "/admin/deliveries";

/// What narrows the list and says which page of it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Parameters {
    outcome: Option<String>,
    partner: Option<String>,
    age: Option<String>,
    cursor: Option<String>,
}

impl Parameters {
    fn address(&self, cursor: Option<&str>) -> String {
        let fields = [
            ("outcome", self.outcome.as_deref()),
            ("partner", self.partner.as_deref()),
            ("age", self.age.as_deref()),
            ("cursor", cursor),
        ];
        filters::address(PATH, &fields)
    }
}

#[derive(Template)]
#[template(config = "src/web/admin_page/askama.toml", path = "deliveries.html")]
struct Shown {
    frame: Frame,
    partners: Vec<Choice>,
    outcomes: Vec<Choice>,
    ages: Vec<Choice>,
    rows: Vec<Row>,
    narrowed: bool,
    first: Option<String>,
    next: Option<String>,
}

struct Row {
    id: String,
    event: String,
    family: Option<String>,
    partner: String,
    external_user_id: Option<String>,
    user: Option<String>,
    outcome: Badge,
    repeats: i64,
    received: When,
}

impl Row {
    fn new(visitor: &Visitor, delivery: Delivery) -> Row {
        Row {
            received: When::new(
                visitor.language,
                delivery.last_received_at,
                visitor.clock.now(),
            ),
            id: delivery.id,
            event: delivery.event.unwrap_or_else(|| "—".to_owned()),
            family: delivery.family,
            partner: delivery.partner,
            external_user_id: delivery.external_user_id,
            user: delivery.user_key.as_deref().map(super::user::address),
            outcome: words::outcome_badge(visitor.language, delivery.outcome),
            repeats: delivery.repeats,
        }
    }
}

/// The list.
pub async fn list(visitor: Visitor, query: Query<Parameters>) -> Result<HttpResponse, Error> {
    let query = query.0;
    let parameters = Parameters {
        outcome: filters::said(query.outcome),
        partner: filters::said(query.partner),
        age: filters::said(query.age),
        cursor: filters::said(query.cursor),
    };
    let cut = Cut::new(None, parameters.cursor.clone())?;
    let age = word("age", parameters.age.clone(), Age::from_word)?;
    let filter = Filter {
        partner: parameters.partner.clone(),
        outcome: word("outcome", parameters.outcome.clone(), Outcome::from_word)?,
        since: age.and_then(|age| age.bounds(visitor.clock.now()).0),
    };
    let (after, fetch) = (cut.after.clone(), cut.fetch());
    let rows = visitor
        .db
        .read(move |conn| deliveries::list(conn, &filter, after.as_deref(), fetch))
        .await?;
    let page = cut.page(
        rows,
        |(delivery, _)| &delivery.id,
        |(delivery, _)| Row::new(&visitor, delivery),
    );
    let language = visitor.language;
    let recent = Age::ALL.into_iter().filter(|age| *age != Age::Older);
    let shown = Shown {
        frame: Frame::new(&visitor, Part::Deliveries),
        partners: filters::partners(&visitor, parameters.partner.as_deref()),
        outcomes: filters::choices(
            Outcome::ALL,
            |one| one.as_str().to_owned(),
            |one| words::outcome(language, *one).to_owned(),
            parameters.outcome.as_deref(),
        ),
        ages: filters::choices(
            recent,
            |one| one.as_str().to_owned(),
            |one| one.label(language).to_owned(),
            parameters.age.as_deref(),
        ),
        narrowed: parameters.address(None) != PATH,
        first: parameters.cursor.as_ref().map(|_| parameters.address(None)),
        next: page
            .next_cursor
            .as_deref()
            .map(|cursor| parameters.address(Some(cursor))),
        rows: page.data,
    };
    Ok(show(StatusCode::OK, language, &shown))
}
