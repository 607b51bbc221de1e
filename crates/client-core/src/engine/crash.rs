//! An engine that is gone between two of its steps, for simulations.

use crate::engine::Engine;

impl Engine {
    /// Lets go of what is left of an engine whose core was ended where it was (`subrosa_tasks::simulation::Host::crash`) and whose
    /// connections are cut: nothing of this is seen outside, or comes into the store.
    pub async fn crashed(&self) {
        let inner = &self.inner;
        inner.stop.cancel();
        inner.tracker.close();
        inner.tracker.wait().await;
        inner.handle.shutdown().await;
    }
}
