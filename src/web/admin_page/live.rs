//! `GET /admin/live`: tells an open page, as server-sent events, that it is not up to date any more. The page then asks for itself
//! again, so that nothing of anybody is in the stream.

use std::time::Duration;

use actix_web::http::header::{CONTENT_TYPE, HeaderName};
use actix_web::web::{self, Bytes};
use actix_web::{HttpRequest, HttpResponse};
use futures_util::future::select_all;
use futures_util::stream::unfold;
use serde::Deserialize;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::sleep;

use super::overview;
use super::visitor::Visitor;
use crate::app::App;
use crate::db::news::{Listener, Topic};
use crate::error::Error;
use crate::web::connection::Connection;
use crate::web::extract::Query;

/// Where the stream is of what stands on the overview.
pub const ALL: &str = "/admin/live";

/// Where the stream is of one user.
pub fn address_of(key: &str) -> String {
    format!("{ALL}?user={key}")
}

/// How long a stream says nothing at the most. Then it is also seen whether the session is over.
const QUIET: Duration = Duration::from_secs(15);
/// What comes within this time after a change is told along with it.
const GATHER: Duration = Duration::from_millis(200);

/// Of whom the stream tells.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Parameters {
    user: Option<String>,
}

/// Streams until the session is over or the service stops.
pub async fn stream(
    http: HttpRequest,
    visitor: Visitor,
    query: Query<Parameters>,
) -> Result<HttpResponse, Error> {
    let seat = visitor.seats.page()?;
    let topics = match query.0.user {
        Some(key) => vec![Topic::User(key)],
        None => {
            let partners = visitor.config.partners.iter();
            partners
                .map(|partner| Topic::Partner(partner.id.clone()))
                .collect()
        }
    };
    let begun = Stream {
        counts: topics
            .iter()
            .any(|topic| matches!(topic, Topic::Partner(_))),
        listeners: topics
            .into_iter()
            .map(|topic| visitor.db.listen(topic))
            .collect(),
        app: visitor.app(),
        token: visitor.token.clone(),
        stopping: Connection::of(&http)?.stopping(),
        greeted: false,
        _seat: seat,
    };
    let events = unfold(begun, |mut stream| async move {
        let event = stream.next().await?;
        Some((Ok::<_, Error>(Bytes::from_static(event)), stream))
    });
    Ok(HttpResponse::Ok()
        .insert_header((CONTENT_TYPE, "text/event-stream"))
        .insert_header((HeaderName::from_static("x-accel-buffering"), "no"))
        .streaming(Box::pin(events)))
}

struct Stream<S> {
    app: web::Data<App>,
    token: String,
    listeners: Vec<Listener>,
    /// Whether the page shows counts, which are not counted anew with every change.
    counts: bool,
    stopping: S,
    greeted: bool,
    _seat: OwnedSemaphorePermit,
}

const CHANGED: &[u8] = b"event: changed\ndata: 1\n\n";

impl<S: Future<Output = ()> + Unpin> Stream<S> {
    /// What is to be sent next; none when the stream is to end.
    async fn next(&mut self) -> Option<&'static [u8]> {
        if !self.greeted {
            self.greeted = true;
            // What has changed since the page was made is on it after this.
            return Some(CHANGED);
        }
        let told = tokio::select! {
            () = heard(&mut self.listeners) => true,
            () = sleep(QUIET) => false,
            () = &mut self.stopping => return None,
        };
        if told {
            let heard_at = self.app.clock.now();
            let counted = async {
                sleep(GATHER).await;
                if self.counts {
                    overview::counted_since(&self.app, heard_at).await;
                }
            };
            tokio::select! {
                () = counted => {}
                () = &mut self.stopping => return None,
            }
        }
        let now = self.app.clock.now();
        self.app.sessions.seen(&self.token, now)?;
        Some(if told { CHANGED } else { b":\n\n" })
    }
}

async fn heard(listeners: &mut [Listener]) {
    if listeners.is_empty() {
        return std::future::pending().await;
    }
    select_all(
        listeners
            .iter_mut()
            .map(|listener| Box::pin(listener.news())),
    )
    .await;
}
