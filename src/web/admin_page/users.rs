//! `GET /admin/users`: everybody whom the filters let through, the newest registration first, a page at a time; and the same as
//! a sheet, whole.

use actix_web::http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use actix_web::http::{Method, StatusCode};
use actix_web::web::{self, Bytes};
use actix_web::{HttpRequest, HttpResponse};
use askama::Template;
use futures_util::StreamExt;
use futures_util::stream::{once, unfold};
use serde::Deserialize;

use super::filters::{self, Age, Choice};
use super::times::When;
use super::visitor::Visitor;
use super::words::Badge;
use super::{Frame, Part, assets, sheet, show, words};
use crate::app::App;
use crate::clock::Timestamp;
use crate::db::users::{self, Attention, Filter, UserNow};
use crate::error::{Code, Error};
use crate::kyc::status::Status;
use crate::web::documents::{Cut, word};
use crate::web::extract::Query;

/// What narrows the list and says which page of it.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Parameters {
    q: Option<String>,
    partner: Option<String>,
    status: Option<String>,
    country: Option<String>,
    attention: Option<String>,
    age: Option<String>,
    cursor: Option<String>,
}

impl Parameters {
    fn tidy(self) -> Parameters {
        Parameters {
            q: filters::said(self.q),
            partner: filters::said(self.partner),
            status: filters::said(self.status),
            country: filters::said(self.country).map(|country| country.to_ascii_uppercase()),
            attention: filters::said(self.attention),
            age: filters::said(self.age),
            cursor: filters::said(self.cursor),
        }
    }

    fn filter(&self, visitor: &Visitor) -> Result<Filter, Error> {
        let age = word("age", self.age.clone(), Age::from_word)?;
        let bounds = age.map(|age| age.bounds(visitor.clock.now()));
        let (registered_from, registered_before) = bounds.unwrap_or_default();
        Ok(Filter {
            partner: self.partner.clone(),
            prefix: self.q.clone(),
            attention: word("attention", self.attention.clone(), Attention::from_word)?,
            status: word("status", self.status.clone(), Status::from_word)?,
            country: self.country.clone(),
            registered_from,
            registered_before,
            ..Filter::default()
        })
    }

    fn address(&self, path: &str, cursor: Option<&str>) -> String {
        let fields = [
            ("q", self.q.as_deref()),
            ("partner", self.partner.as_deref()),
            ("status", self.status.as_deref()),
            ("country", self.country.as_deref()),
            ("attention", self.attention.as_deref()),
            ("age", self.age.as_deref()),
            ("cursor", cursor),
        ];
        filters::address(path, &fields)
    }
}

#[derive(Template)]
#[template(config = "src/web/admin_page/askama.toml", path = "users.html")]
struct Shown {
    frame: Frame,
    q: String,
    country: String,
    partners: Vec<Choice>,
    statuses: Vec<Choice>,
    attentions: Vec<Choice>,
    ages: Vec<Choice>,
    rows: Vec<Row>,
    narrowed: bool,
    first: Option<String>,
    next: Option<String>,
    sheet: String,
}

struct Row {
    user_id: String,
    external_user_id: Option<String>,
    address: String,
    partner: String,
    country: String,
    status: Badge,
    attempt: i64,
    registered: When,
    changed: When,
    flags: Vec<&'static str>,
}

impl Row {
    fn new(visitor: &Visitor, user: UserNow) -> Row {
        let (language, now) = (visitor.language, visitor.clock.now());
        let mut flags = Vec::new();
        if user.held.is_some() {
            flags.push(words::attention(language, Attention::Held));
        }
        if user.conflict {
            flags.push(words::attention(language, Attention::Conflict));
        }
        if user.state().is_doubted() {
            flags.push(words::attention(language, Attention::Unconfirmed));
        }
        if user.overridden {
            flags.push(language.choose("By hand", "A mano"));
        }
        let same = user.external_user_id == user.user_id;
        let status = words::status_badge(language, user.state().shown());
        let user = user.into_inner();
        Row {
            address: super::user::address(&user.id),
            status,
            attempt: user.attempt,
            registered: When::new(language, user.created_at, now),
            changed: When::new(language, user.updated_at, now),
            external_user_id: Some(user.external_user_id).filter(|_| !same),
            user_id: user.user_id,
            partner: user.partner,
            country: user.country,
            flags,
        }
    }
}

/// The list.
pub async fn list(visitor: Visitor, query: Query<Parameters>) -> Result<HttpResponse, Error> {
    let parameters = query.0.tidy();
    let filter = parameters.filter(&visitor)?;
    let cut = Cut::new(None, parameters.cursor.clone())?;
    let (after, fetch) = (cut.after.clone(), cut.fetch());
    let view = visitor.view();
    let rows = visitor
        .db
        .read(move |conn| users::list(conn, &filter, view, after.as_deref(), fetch))
        .await?;
    let page = cut.page(rows, |user| &user.id, |user| Row::new(&visitor, user));
    let language = visitor.language;
    let attention = |one: &Attention| words::attention(language, *one).to_owned();
    let shown = Shown {
        frame: Frame::new(&visitor, Part::Users),
        partners: filters::partners(&visitor, parameters.partner.as_deref()),
        statuses: filters::statuses(language, parameters.status.as_deref()),
        attentions: filters::choices(
            Attention::ALL,
            |one| one.as_str().to_owned(),
            attention,
            parameters.attention.as_deref(),
        ),
        ages: filters::ages(language, parameters.age.as_deref()),
        narrowed: !parameters.address("", None).is_empty(),
        first: parameters
            .cursor
            .as_ref()
            .map(|_| parameters.address(PATH, None)),
        next: page
            .next_cursor
            .as_deref()
            .map(|cursor| parameters.address(PATH, Some(cursor))),
        sheet: parameters.address(SHEET, None),
        q: parameters.q.unwrap_or_default(),
        country: parameters.country.unwrap_or_default(),
        rows: page.data,
    };
    Ok(show(StatusCode::OK, language, &shown))
}

const PATH: &str = "/admin/users";
const SHEET: &str = "/admin/users.csv";
/// So many users are read at once for a sheet.
const AT_ONCE: i64 = 1000;

/// The same list whole, as a file for a spreadsheet. It is read as it is sent, so that any number of users takes no memory.
pub async fn as_sheet(
    http: HttpRequest,
    visitor: Visitor,
    query: Query<Parameters>,
) -> Result<HttpResponse, Error> {
    let filter = query.0.tidy().filter(&visitor)?;
    let mut answer = HttpResponse::Ok();
    answer
        .insert_header((CONTENT_TYPE, "text/csv; charset=utf-8; header=present"))
        .insert_header((CONTENT_DISPOSITION, "attachment; filename=\"users.csv\""));
    if http.method() == Method::HEAD {
        return Ok(answer.finish());
    }
    log::info!(admin = visitor.name(); "An admin exports users.");
    let begun = Export {
        app: visitor.app(),
        token: visitor.token.clone(),
        filter,
        after: None,
        ended: false,
    };
    let head = Bytes::from(MARK.to_owned() + &sheet::row(HEADINGS));
    let rows = unfold(begun, |mut export| async move {
        let rows = export.next().await?;
        Some((rows, export))
    });
    let head = once(async { Ok::<_, Error>(head) });
    Ok(answer.streaming(head.chain(Box::pin(rows))))
}

/// By it spreadsheets know that the text is UTF-8.
const MARK: &str = "\u{feff}";
const HEADINGS: [&str; 13] = [
    "partnerId",
    "userId",
    "externalUserId",
    "country",
    "status",
    "final",
    "needsConfirmation",
    "attempt",
    "source",
    "createdAt",
    "updatedAt",
    "decidedAt",
    "asOf",
];

struct Export {
    app: web::Data<App>,
    token: String,
    filter: Filter,
    after: Option<String>,
    ended: bool,
}

impl Export {
    /// The next rows. When the store fails, or the session is over, the connection is broken off, so that nobody takes a part
    /// for the whole.
    async fn next(&mut self) -> Option<Result<Bytes, Error>> {
        if self.ended {
            return None;
        }
        let (filter, after) = (self.filter.clone(), self.after.clone());
        let view = self.app.view();
        let read = move |conn: &mut _| users::list(conn, &filter, view, after.as_deref(), AT_ONCE);
        if self
            .app
            .sessions
            .seen(&self.token, self.app.clock.steady())
            .is_none()
        {
            self.ended = true;
            return Some(Err(Error::new(Code::Unauthorized, "The session is over.")));
        }
        let rows = match self.app.db.read(read).await {
            Ok(rows) => rows,
            Err(error) => {
                self.ended = true;
                return Some(Err(error.into()));
            }
        };
        self.after = rows.last().map(|user| user.id.clone());
        self.ended = i64::try_from(rows.len()).is_ok_and(|read| read < AT_ONCE);
        let lines: String = rows.iter().map(line).collect();
        (!lines.is_empty()).then(|| Ok(Bytes::from(lines)))
    }
}

fn line(user: &UserNow) -> String {
    let state = user.state();
    let shown = state.shown();
    let time = |time: Option<Timestamp>| time.map(|at| at.to_string()).unwrap_or_default();
    let yes = |yes: bool| if yes { "true" } else { "false" };
    sheet::row([
        &user.partner,
        &user.user_id,
        &user.external_user_id,
        &user.country,
        shown.as_str(),
        yes(state.is_final()),
        yes(state.needs_confirmation()),
        &user.attempt.to_string(),
        user.source.as_str(),
        &user.created_at.to_string(),
        &user.updated_at.to_string(),
        &time(user.shown_decided_at()),
        &time(user.as_of()),
    ])
}
