//! `POST /v1/kyc/links`.

use actix_web::http::header::{ETAG, LOCATION};
use actix_web::{HttpRequest, HttpResponse, rt};
use serde::Serialize;

use super::connection::Connection;
use super::documents::LinkedUserDocument;
use super::etag;
use super::extract::{Caller, JsonBody, NoParameters, Query};
use crate::error::{Code, Error};
use crate::issue;
use crate::kyc::link_request::LinkRequest;

#[derive(Serialize)]
struct LinkDocument {
    #[serde(flatten)]
    user: LinkedUserDocument,
    resumed: bool,
}

/// Answers 201 with a new link or 200 with the open one.
///
/// A client that leaves takes its request away, and then a link that the provider is making would be lost. So the link is
/// issued beside the request, and goes on in the place of it.
pub async fn create(
    http: HttpRequest,
    caller: Caller,
    _: Query<NoParameters>,
    body: JsonBody,
) -> Result<HttpResponse, Error> {
    let request = LinkRequest::parse(&body.0).map_err(Error::invalid_request)?;
    let place = Connection::of(&http)?.take_place();
    let issued = rt::spawn(async move {
        let issued = issue::link_for(&caller, caller.partner(), request).await;
        drop(place);
        issued
    });
    let broken = |_| Error::new(Code::InternalError, "Ask for the user, then send it again.");
    let issued = issued.await.map_err(broken)??;
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
