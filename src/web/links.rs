//! `POST /v1/kyc/links`.

use actix_web::http::header::{ETAG, LOCATION};
use actix_web::{HttpRequest, HttpResponse, web};
use serde::Serialize;
use utoipa::ToSchema;

use super::connection::beside;
use super::documents::LinkedUserDocument;
use super::etag;
use super::extract::{Caller, IdempotencyKey, JsonBody, NoParameters, Query};
use crate::app::App;
use crate::error::{Error, REPLAYED};
use crate::issue;
use crate::kyc::link_request::LinkRequest;
use crate::once::{self, Answered, Once};

/// The user, with the link to hand out.
#[derive(Serialize, ToSchema)]
#[schema(as = Link)]
pub struct LinkDocument {
    #[serde(flatten)]
    user: LinkedUserDocument,
    /// Whether the link was open already.
    #[schema(examples(false))]
    resumed: bool,
}

/// Answers 201 with a new link or 200 with the open one, or what it answered before to the same `Idempotency-Key`.
///
/// The link is issued beside the request, because one that the provider is making would be lost with it.
pub async fn create(
    http: HttpRequest,
    app: web::Data<App>,
    caller: Caller,
    _: Query<NoParameters>,
    key: IdempotencyKey,
    body: JsonBody,
) -> Result<HttpResponse, Error> {
    let request = LinkRequest::parse(&body.0).map_err(Error::invalid_request)?;
    let answered = beside(&http, async move {
        let partner = caller.partner();
        let Some(key) = key.0 else {
            let issued = issue::link_for(&caller, partner, request, None).await?;
            return Ok(Answered::New(Box::new(issued)));
        };
        let once = Once::new(caller.db.idempotency_secret(), partner, key, body.0);
        once::link_for(&caller, partner, request, once).await
    });
    let answered = answered.await?;
    let replayed = matches!(answered, Answered::Again(_));
    let (tag, user_id, document) = match answered {
        Answered::New(issued) => {
            let (user, resumed) = (issued.user.at(app.view()), issued.resumed);
            (
                etag::of(&user),
                user.user_id.clone(),
                LinkDocument {
                    resumed,
                    user: LinkedUserDocument::new(&app.start_pages, user),
                },
            )
        }
        Answered::Again(replay) => (
            etag::tag(replay.user.attempt, replay.user.version),
            replay.user.user_id.clone(),
            LinkDocument {
                resumed: replay.resumed,
                user: LinkedUserDocument::again(&app.start_pages, *replay),
            },
        ),
    };
    let mut answer = if document.resumed {
        HttpResponse::Ok()
    } else {
        HttpResponse::Created()
    };
    if replayed {
        answer.insert_header(REPLAYED);
    }
    Ok(answer
        .insert_header((LOCATION, format!("/v1/kyc/users/{user_id}")))
        .insert_header((ETAG, tag.to_string()))
        .json(document))
}
