//! `/metrics`: what a relay counts, for a listener that only the host reaches.

use std::sync::Arc;

use axum::{
    Router as Routes,
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};

use crate::{parts::Parts, router::Router as _, shared::Shared};

/// OpenMetrics, as `prometheus-client` writes it.
const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// The page alone.
pub(crate) fn routes<P: Parts>(shared: Arc<Shared<P>>) -> Routes {
    Routes::new().route("/metrics", get(scrape::<P>)).with_state(shared)
}

async fn scrape<P: Parts>(State(shared): State<Arc<Shared<P>>>) -> Response {
    let (is_ready, totals) = (shared.not_ready().await.is_none(), shared.totals().await);
    match shared.metrics.text(shared.router.sessions(), is_ready, totals) {
        Some(text) => ([(header::CONTENT_TYPE, CONTENT_TYPE)], text).into_response(),
        None => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}
