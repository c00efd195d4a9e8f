//! `GET /metrics`, and what is counted of every request.

use std::cell::OnceCell;
use std::time::Duration;

use actix_web::HttpResponse;
use actix_web::dev::ServiceResponse;
use actix_web::web::Data;
use prometheus::TEXT_FORMAT;

use super::extract::{NoParameters, Query, Scraper};
use crate::app::App;
use crate::error::{Code, Error};
use crate::metrics::{self, Route};

/// All metrics, as Prometheus reads them.
pub async fn scrape(scraper: Scraper, _: Query<NoParameters>) -> Result<HttpResponse, Error> {
    let unwritten = |_| Error::new(Code::InternalError, "The metrics cannot be written down.");
    let text = metrics::scrape(&scraper.0).await.map_err(unwritten)?;
    Ok(HttpResponse::Ok().content_type(TEXT_FORMAT).body(text))
}

/// A route, as its requests have it in their data, so that to count one takes no search for its name.
pub struct Measured {
    path: &'static str,
    route: OnceCell<Route>,
}

impl Measured {
    /// The route with that path.
    pub fn new(path: &'static str) -> Measured {
        Measured {
            path,
            route: OnceCell::new(),
        }
    }
}

/// Counts a request that was answered so, and was in our hands for so long.
pub fn count<B>(response: &ServiceResponse<B>, error: Option<&Error>, took: Duration) {
    let request = response.request();
    let Some(app) = request.app_data::<Data<App>>() else {
        return;
    };
    let metrics = &app.metrics;
    let measured = request.app_data::<Measured>();
    let route = measured.map_or(&metrics.unrouted, |measured| {
        measured.route.get_or_init(|| metrics.route(measured.path))
    });
    route.count(response.status().as_u16(), took.as_secs_f64());
    if let Some(error) = error {
        metrics.error(error.code());
    }
}
