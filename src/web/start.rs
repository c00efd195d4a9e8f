//! `GET /start/{token}`: the address that a partner gives its user. It leads to a live link of the provider while the attempt
//! is open, and says afterwards how it ended.
//!
//! What goes wrong is told in plain words on a page, because a person reads it; the log has the code.

use actix_web::http::header::{LOCATION, RETRY_AFTER};
use actix_web::http::{Method, StatusCode};
use actix_web::{HttpRequest, HttpResponse, ResponseError, web};

use super::connection::beside;
use super::page::{self, Language, Mood, Notice};
use crate::app::App;
use crate::db::users::{self, UserNow};
use crate::error::{Code, Error, Written};
use crate::issue;
use crate::kyc::status::Status;

/// Seconds after which to open a page again that could not be shown, where nobody knows better.
const RETRY: u64 = 60;

/// Where a start page leads.
enum Way {
    /// To the provider.
    On(String),
    /// To the provider as soon as somebody opens the page who wants more than its head.
    Open,
    /// Nowhere.
    End(End),
}

/// Why it leads nowhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Verified,
    Rejected,
    /// There is news about a verified user that has not been confirmed.
    InDoubt,
    /// The token is of an earlier attempt.
    Over,
    /// The token is none of ours.
    Unknown,
    /// Something fails that may be well again soon.
    Failing,
    /// There were too many links today.
    Enough,
    /// The provider or our own rules refuse what is stored of the user.
    Stuck,
}

/// Sends the user on to the provider, or says why not.
pub async fn open(http: HttpRequest, app: web::Data<App>) -> HttpResponse {
    let language = Language::of(&http);
    match way(&http, app).await {
        Ok(Way::On(link)) => {
            let mut answer = page::begin(StatusCode::SEE_OTHER);
            answer.insert_header((LOCATION, link)).finish()
        }
        Ok(Way::Open) => page::begin(StatusCode::OK).finish(),
        Ok(Way::End(end)) => show(end, language, None),
        Err(error) => show(End::of(&error), language, Some(error)),
    }
}

async fn way(http: &HttpRequest, app: web::Data<App>) -> Result<Way, Error> {
    let token = http.match_info().get("token").unwrap_or_default();
    let Some(named) = app.start_pages.read(token) else {
        return Ok(Way::End(End::Unknown));
    };
    let find = move |conn: &mut _| users::find_by_key(conn, &named.user_key);
    let Some(user) = app.db.fetch(find).await? else {
        return Ok(Way::End(End::Unknown));
    };
    // The users of a partner who was taken out of the configuration have nobody any more who sent them.
    let Some(place) = app.partner_place(&user.partner) else {
        return Ok(Way::End(End::Unknown));
    };
    let user = user.at(app.view());
    if let Some(end) = End::reached(&user, named.attempt) {
        return Ok(Way::End(end));
    }
    if let Some(link) = issue::open_link(&user, &app.config.links, app.clock.now()) {
        return on(&app, Some(link));
    }
    if http.method() == Method::HEAD {
        return Ok(Way::Open);
    }
    let asking = web::Data::clone(&app);
    let user = beside(http, async move {
        let partner = &asking.config.partners[place];
        issue::link_again(&asking, partner, &user.user_id, named.attempt).await
    });
    let user = user.await?.at(app.view());
    match End::reached(&user, named.attempt) {
        Some(end) => Ok(Way::End(end)),
        None => on(&app, user.kyc_link.as_deref()),
    }
}

/// Looks at the link once more, since what is stored may have come there in another way than by the provider's answer.
fn on(app: &App, link: Option<&str>) -> Result<Way, Error> {
    match link.filter(|link| app.capa.trusts(link)) {
        Some(link) => Ok(Way::On(link.to_owned())),
        None => Err(Error::new(
            Code::ProviderInvalidResponse,
            "There is no link that may be opened.",
        )),
    }
}

fn show(end: End, language: Language, error: Option<Error>) -> HttpResponse {
    let mut answer = page::begin(end.status(error.as_ref()));
    if let Some(error) = &error {
        answer.insert_header((RETRY_AFTER, error.retry_after().unwrap_or(RETRY)));
    }
    let mut answer = page::end(answer, language, &end.notice(language));
    answer.extensions_mut().insert(Written(error));
    answer
}

impl End {
    /// Whether the attempt of that number is decided or over.
    fn reached(user: &UserNow, attempt: i64) -> Option<End> {
        if user.attempt != attempt {
            return Some(End::Over);
        }
        match user.status {
            _ if user.state().may_have_link() => None,
            _ if user.state().needs_confirmation() => Some(End::InDoubt),
            Status::Verified => Some(End::Verified),
            Status::Rejected => Some(End::Rejected),
            Status::Pending | Status::Submitted | Status::InReview => None,
        }
    }

    fn of(error: &Error) -> End {
        match error.code() {
            Code::RateLimited => End::Enough,
            _ if error.is_ours() => End::Failing,
            _ => End::Stuck,
        }
    }

    fn status(self, error: Option<&Error>) -> StatusCode {
        match self {
            End::Verified | End::Rejected | End::InDoubt => StatusCode::OK,
            End::Over => StatusCode::GONE,
            End::Unknown => StatusCode::NOT_FOUND,
            End::Failing | End::Enough => {
                error.map_or(StatusCode::SERVICE_UNAVAILABLE, Error::status_code)
            }
            // It is no fault of whoever opens the page.
            End::Stuck => StatusCode::BAD_GATEWAY,
        }
    }

    fn notice(self, language: Language) -> Notice {
        let (mood, title, text) = match self {
            End::Verified => (
                Mood::Good,
                language.choose("Your identity is verified", "Su identidad está verificada"),
                language.choose(
                    "There is nothing left to do here. Go back to the company that sent you.",
                    "No queda nada por hacer aquí. Vuelva a la empresa que le envió este enlace.",
                ),
            ),
            End::Rejected => (
                Mood::Bad,
                language.choose(
                    "Your verification was not accepted",
                    "Su verificación no fue aceptada",
                ),
                language.choose(
                    "Ask the company that sent you what you can do now. It can give you a new link to try again.",
                    "Pregunte a la empresa que le envió este enlace qué puede hacer ahora. Puede darle un enlace nuevo para intentarlo otra vez.",
                ),
            ),
            End::InDoubt => (
                Mood::Waiting,
                language.choose(
                    "Your verification is being reviewed",
                    "Su verificación está en revisión",
                ),
                language.choose(
                    "You need not do anything. The company that sent you will hear the result.",
                    "No tiene que hacer nada. La empresa que le envió este enlace conocerá el resultado.",
                ),
            ),
            End::Over => (
                Mood::Blocked,
                language.choose("This link is no longer valid", "Este enlace ya no es válido"),
                language.choose(
                    "It belongs to an earlier verification. Open the newest link that you have, or ask the company that sent you for it.",
                    "Pertenece a una verificación anterior. Abra el enlace más reciente que tenga o pídalo a la empresa que se lo envió.",
                ),
            ),
            End::Unknown => (
                Mood::Blocked,
                language.choose("This link does not work", "Este enlace no funciona"),
                language.choose(
                    "Check that you opened the whole link, or ask the company that sent you for a new one.",
                    "Compruebe que abrió el enlace completo o pida uno nuevo a la empresa que se lo envió.",
                ),
            ),
            End::Failing => (
                Mood::Waiting,
                language.choose(
                    "Your verification cannot go on right now",
                    "Su verificación no puede continuar en este momento",
                ),
                language.choose(
                    "Nothing is lost. Wait a few minutes, then try again.",
                    "No se ha perdido nada. Espere unos minutos y vuelva a intentarlo.",
                ),
            ),
            End::Enough => (
                Mood::Waiting,
                language.choose(
                    "That is enough for today",
                    "Ya es suficiente por hoy",
                ),
                language.choose(
                    "Your verification was begun too often today. Nothing is lost: open this link again tomorrow.",
                    "Su verificación se inició demasiadas veces hoy. No se ha perdido nada: abra este enlace otra vez mañana.",
                ),
            ),
            End::Stuck => (
                Mood::Blocked,
                language.choose(
                    "Your verification cannot go on",
                    "Su verificación no puede continuar",
                ),
                language.choose(
                    "You did nothing wrong. Ask the company that sent you for help.",
                    "Usted no hizo nada mal. Pida ayuda a la empresa que le envió este enlace.",
                ),
            ),
        };
        let again = language.choose("Try again", "Intentar otra vez");
        Notice {
            language,
            mood,
            title,
            text,
            again: Some(again).filter(|_| self == End::Failing),
        }
    }
}
