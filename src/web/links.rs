//! `POST /v1/kyc/links`.

use actix_web::http::header::{ETAG, LOCATION};
use actix_web::{HttpRequest, HttpResponse};
use serde::Serialize;
use utoipa::ToSchema;

use super::connection::beside;
use super::documents::LinkedUserDocument;
use super::etag;
use super::extract::{Caller, JsonBody, NoParameters, Query};
use crate::error::Error;
use crate::issue;
use crate::kyc::link_request::LinkRequest;

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

/// Answers 201 with a new link or 200 with the open one.
///
/// The link is issued beside the request, because one that the provider is making would be lost with it.
pub async fn create(
    http: HttpRequest,
    caller: Caller,
    _: Query<NoParameters>,
    body: JsonBody,
) -> Result<HttpResponse, Error> {
    let request = LinkRequest::parse(&body.0).map_err(Error::invalid_request)?;
    let issued = beside(&http, async move {
        issue::link_for(&caller, caller.partner(), request).await
    });
    let issued = issued.await?;
    let mut answer = if issued.resumed {
        HttpResponse::Ok()
    } else {
        HttpResponse::Created()
    };
    let location = format!("/v1/kyc/users/{}", issued.user.user_id);
    Ok(answer
        .insert_header((LOCATION, location))
        .insert_header((ETAG, etag::of(&issued.user).to_string()))
        .json(LinkDocument {
            resumed: issued.resumed,
            user: issued.user.into(),
        }))
}
