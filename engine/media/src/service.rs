//! A model in service, and which of them new work goes to.
//!
//! In: a checked folder, how many readers it has. Out: the desk where its windows wait, and where
//! it wants them cut. A model is replaced while calls go on: takes that began with the old one end
//! with it, and its desk closes when the last of them lets go of it. Loads nothing, runs nothing.

use std::sync::{Arc, PoisonError, RwLock};

use crate::desk::Desk;
use crate::speech::WindowPlan;
use crate::whisper::ModelFolder;

/// A model in service.
pub(crate) struct Service {
    pub(crate) folder: Arc<ModelFolder>,
    pub(crate) desk: Arc<Desk>,
    /// Where this model wants windows to be cut.
    pub(crate) plan: WindowPlan,
}

impl Service {
    pub(crate) fn new(folder: Arc<ModelFolder>, readers: usize, batch_max: usize) -> Self {
        let card = &folder.card;
        let desk = Arc::new(Desk::new(card, readers, batch_max));
        let plan =
            WindowPlan::from_millis(card.window_min_ms, card.window_max_ms, card.join_pause_ms);
        Self { folder, desk, plan }
    }
}

impl Drop for Service {
    /// Nobody can bring work any more: its readers end.
    fn drop(&mut self) {
        self.desk.stop();
    }
}

/// The service that new takes begin in.
pub(crate) struct InService(RwLock<Arc<Service>>);

impl InService {
    pub(crate) fn new(service: Service) -> Self {
        Self(RwLock::new(Arc::new(service)))
    }

    /// The present one; whoever holds it keeps its readers at work.
    pub(crate) fn now(&self) -> Arc<Service> {
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Puts another in its place.
    pub(crate) fn replace(&self, service: Service) {
        let mut place = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let old = std::mem::replace(&mut *place, Arc::new(service));
        // Its end, if this is it, has no business under the lock.
        drop(place);
        drop(old);
    }
}
