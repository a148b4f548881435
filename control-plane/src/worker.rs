//! The loop that every worker runs: lease what is due, try it beside others, sleep until more is
//! due. Rows are the truth; a wake-up only shortens the sleep.

use std::time::Duration;

use async_trait::async_trait;
use engine_core::time::WallTime;
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::{debug, error};

use crate::clock;
use crate::limits::{LEASE, WORKER_SLEEP_MAX};
use crate::store::StoreError;

/// Something leased that is to be tried.
#[async_trait]
pub(crate) trait Queue: Clone + Send + Sync + 'static {
    /// What is leased.
    type Item: Send + 'static;
    /// For logs.
    const NAME: &'static str;

    /// Leases up to `limit` items that are due.
    async fn lease(
        &self,
        now: WallTime,
        until: WallTime,
        limit: u32,
    ) -> Result<Vec<Self::Item>, StoreError>;
    /// When the next item is due.
    async fn next(&self) -> Result<Option<WallTime>, StoreError>;
    /// Tries one item and records what became of it.
    async fn attempt(&self, item: Self::Item);
    /// Wakes the worker early.
    fn wake(&self) -> &Notify;
    /// Most items under way.
    fn under_way_max(&self) -> usize;
}

/// Works until `drain`, then until nothing is due any more.
pub(crate) async fn run<Q: Queue>(queue: Q, drain: CancellationToken) {
    let mut under_way = JoinSet::new();
    loop {
        let draining = drain.is_cancelled();
        let nap = match lease(&queue, &mut under_way).await {
            Ok(nap) => nap,
            Err(_) if draining => break,
            Err(why) => {
                error!(worker = Q::NAME, %why, "Rows cannot be leased; what is due waits.");
                WORKER_SLEEP_MAX
            }
        };
        if draining && under_way.is_empty() {
            break;
        }
        tokio::select! {
            () = queue.wake().notified() => {}
            () = tokio::time::sleep(nap), if !draining => {}
            Some(_) = under_way.join_next() => {}
            () = drain.cancelled(), if !draining => {}
        }
    }
    while under_way.join_next().await.is_some() {}
    debug!(worker = Q::NAME, "A worker has ended.");
}

/// Starts what is due; how long to sleep afterwards.
async fn lease<Q: Queue>(queue: &Q, under_way: &mut JoinSet<()>) -> Result<Duration, StoreError> {
    while under_way.try_join_next().is_some() {}
    let room = queue.under_way_max().saturating_sub(under_way.len());
    if room == 0 {
        return Ok(WORKER_SLEEP_MAX);
    }
    let now = clock::now();
    for item in queue.lease(now, clock::after(now, LEASE), room as u32).await? {
        let worker = queue.clone();
        under_way.spawn(async move {
            worker.attempt(item).await;
            worker.wake().notify_one();
        });
    }
    if under_way.len() >= queue.under_way_max() {
        return Ok(WORKER_SLEEP_MAX);
    }
    let next = queue.next().await?;
    let nap = next.map_or(WORKER_SLEEP_MAX, |at| clock::until(clock::now(), at));
    Ok(nap.min(WORKER_SLEEP_MAX))
}
