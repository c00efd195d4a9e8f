//! `GET /admin/live`: tells an open page, as server-sent events, that it is not up to date any more. The page then asks for itself
//! again, so that nothing of anybody is in the stream.

use std::time::Duration;

use actix_web::http::Method;
use actix_web::http::header::{CONTENT_TYPE, HeaderName};
use actix_web::web::{self, Bytes};
use actix_web::{HttpRequest, HttpResponse};
use futures_util::future::select_all;
use futures_util::stream::unfold;
use serde::Deserialize;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{sleep, timeout};

use super::overview;
use super::visitor::Visitor;
use crate::app::App;
use crate::clock::Timestamp;
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
/// After so many of such times the page is old: much that stands on one moves nobody, and times grow old by themselves.
const OLD: u32 = 2;
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
    let mut answer = HttpResponse::Ok();
    answer
        .insert_header((CONTENT_TYPE, "text/event-stream"))
        .insert_header((HeaderName::from_static("x-accel-buffering"), "no"));
    if http.method() == Method::HEAD {
        return Ok(answer.finish());
    }
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
    let watch = Watch {
        counts: topics
            .iter()
            .any(|topic| matches!(topic, Topic::Partner(_))),
        listeners: topics
            .into_iter()
            .map(|topic| visitor.db.listen(topic))
            .collect(),
        // What has changed since the page was made is on it after the first time.
        untold: Some(visitor.clock.now()),
        app: visitor.app(),
    };
    let begun = Stream {
        watch,
        token: visitor.token.clone(),
        stopping: Connection::of(&http)?.stopping(),
        silences: 0,
        _seat: seat,
    };
    let events = unfold(begun, |mut stream| async move {
        let event = stream.next().await?;
        Some((Ok::<_, Error>(Bytes::from_static(event)), stream))
    });
    Ok(answer.streaming(Box::pin(events)))
}

struct Stream<S> {
    watch: Watch,
    token: String,
    stopping: S,
    /// How often in a row there was nothing to tell.
    silences: u32,
    _seat: OwnedSemaphorePermit,
}

/// What is waited for.
struct Watch {
    app: web::Data<App>,
    listeners: Vec<Listener>,
    /// Whether the page shows counts, which are not counted anew with every change.
    counts: bool,
    /// Since when there is something to tell.
    untold: Option<Timestamp>,
}

const CHANGED: &[u8] = b"event: changed\ndata: 1\n\n";

impl<S: Future<Output = ()> + Unpin> Stream<S> {
    /// What is to be sent next; none when the stream is to end.
    async fn next(&mut self) -> Option<&'static [u8]> {
        let ready = tokio::select! {
            ready = timeout(QUIET, self.watch.ready()) => ready.is_ok(),
            () = &mut self.stopping => return None,
        };
        let app = &self.watch.app;
        app.sessions.seen(&self.token, app.clock.steady())?;
        self.silences = if ready { 0 } else { self.silences + 1 };
        let old = self.silences > 0 && self.silences.is_multiple_of(OLD);
        Some(if ready || old { CHANGED } else { b":\n\n" })
    }
}

impl Watch {
    /// Returns when there is something new to be seen on the page. What was heard is told later where this is broken off.
    async fn ready(&mut self) {
        let since = match self.untold {
            Some(since) => since,
            None => {
                heard(&mut self.listeners).await;
                *self.untold.insert(self.app.clock.now())
            }
        };
        sleep(GATHER).await;
        if self.counts {
            overview::counted_since(&self.app, since).await;
        }
        self.untold = None;
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
