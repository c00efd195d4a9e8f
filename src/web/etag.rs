//! Versions of the document of one user, as caches and waiting callers know them.

use actix_web::http::header::{ETAG, EntityTag, IF_NONE_MATCH};
use actix_web::{HttpRequest, HttpResponse};

use super::documents::LinkedUserDocument;
use super::extract::only;
use crate::app::App;
use crate::db::users::UserNow;
use crate::error::{Code, Error};

/// The version of what is answered about the user: the attempt's number, a dot, and the user's.
pub fn of(user: &UserNow) -> EntityTag {
    tag(user.attempt, user.version)
}

/// The same for a user with that attempt and version.
pub fn tag(attempt: i64, version: i64) -> EntityTag {
    EntityTag::new_strong(format!("{attempt}.{version}"))
}

/// Which versions a caller has already.
pub enum Known {
    /// None, or it does not say.
    Nothing,
    /// Any.
    Any,
    /// One of these.
    These(Vec<EntityTag>),
}

impl Known {
    /// What `If-None-Match` says.
    ///
    /// # Errors
    /// When it is not written as it must be. To take that for nothing would have a waiting caller ask without a rest.
    pub fn of(request: &HttpRequest) -> Result<Known, Error> {
        if !request.headers().contains_key(IF_NONE_MATCH) {
            return Ok(Known::Nothing);
        }
        let wrong = || {
            let detail = "Send one If-None-Match, with ETags of ours in their quotation marks.";
            Error::new(Code::BadRequest, detail)
        };
        let value = only(request.headers(), &IF_NONE_MATCH).ok_or_else(wrong)?;
        if value.trim() == "*" {
            return Ok(Known::Any);
        }
        let tags = value.split(',').map(|tag| tag.trim().parse());
        let tags: Result<Vec<EntityTag>, _> = tags.collect();
        tags.map(Known::These).map_err(|_| wrong())
    }

    /// Whether the caller has the user as it stands.
    pub fn has(&self, user: &UserNow) -> bool {
        match self {
            Known::Nothing => false,
            Known::Any => true,
            Known::These(tags) => tags.iter().any(|tag| tag.weak_eq(&of(user))),
        }
    }
}

/// The document of the user, or 304 without it where the caller has that version.
pub fn answer(app: &App, known: &Known, user: UserNow) -> HttpResponse {
    let tag = (ETAG, of(&user).to_string());
    if known.has(&user) {
        return HttpResponse::NotModified().insert_header(tag).finish();
    }
    let document = LinkedUserDocument::new(&app.start_pages, user);
    HttpResponse::Ok().insert_header(tag).json(document)
}
