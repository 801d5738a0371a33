//! Statistics: deliveries by state and latency over time.

use std::{collections::BTreeMap, sync::Arc};

use axum::{Extension, extract::State, http::Uri};
use jiff::Timestamp;
use serde::Serialize;
use tracking_core::{caller::Caller, delivery::State as Stage, statistics::BucketSize};
use tracking_engine::{Engine, Statistics, StatisticsBucket, StatisticsQuery, backend::Backend, rules::Refused};

use crate::{
    body::Json,
    problem::{Kind, Problem},
    query::Parameters,
};

/// The deliveries of a period.
#[derive(Debug, Serialize)]
pub(crate) struct StatisticsView {
    buckets: Vec<BucketView>,
    complete: bool,
}

/// The deliveries of an hour or a day.
#[derive(Debug, Serialize)]
struct BucketView {
    at: Timestamp,
    counts: BTreeMap<Stage, u64>,
    latency_ms: LatencyView,
}

/// Percentiles; all are null if nothing was delivered.
#[derive(Debug, Serialize)]
struct LatencyView {
    p50: Option<u64>,
    p95: Option<u64>,
    p99: Option<u64>,
}

impl From<StatisticsBucket> for BucketView {
    fn from(StatisticsBucket { at, counts, latency }: StatisticsBucket) -> Self {
        let latency_ms = LatencyView {
            p50: latency.map(|latency| latency.p50),
            p95: latency.map(|latency| latency.p95),
            p99: latency.map(|latency| latency.p99),
        };
        Self { at, counts, latency_ms }
    }
}

/// Counts the deliveries of a period (docs/api.md).
pub(crate) async fn read<B: Backend>(
    State(engine): State<Arc<Engine<B>>>,
    Extension(caller): Extension<Caller>,
    uri: Uri,
) -> Result<Json<StatisticsView>, Problem> {
    let mut query = Parameters::read(&uri, &["from", "to", "bucket", "tracking_api_id"]);
    let asked = StatisticsQuery {
        tracking_api_id: query.id("tracking_api_id"),
        from: query.time("from"),
        to: query.time("to"),
        size: query.parsed("bucket", "choose hour, day", BucketSize::from_word).unwrap_or(BucketSize::Hour),
    };
    query.finish()?;
    let found = engine.log().statistics(&caller, &asked).await.map_err(|refused| match refused {
        // Beyond the query's form, only the period can be wrong.
        Refused::Faults(faults) => Problem::with_faults(Kind::BadRequest, faults),
        other => other.into(),
    })?;
    let Statistics { buckets, complete } = found;
    Ok(Json(StatisticsView { buckets: buckets.into_iter().map(BucketView::from).collect(), complete }))
}
