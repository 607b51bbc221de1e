//! Memory of frames that are not complete yet, and of buffers that grew with a large one.
//!
//! A frame is kept until its last byte has come, and the buffer it was kept in stays as large until
//! the connection ends. So each connection counts by the most it ever had to keep, beyond a small part that is
//! free, and addresses and relay have so much of it together. A connection that wants more is closed.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

/// What every connection may keep uncounted: most messages fit.
const FREE_BYTES: usize = 4 * 1024;
/// What connections of one address may keep together: 60 of the largest frames, or 800 uploads of prekeys.
const ADDRESS_BYTES: usize = 32 * 1024 * 1024;
/// What all connections may keep together: a quarter of a small server's memory.
pub(crate) const ALL_BYTES: usize = 256 * 1024 * 1024;

/// Bytes kept by the connections of an address, or by all.
pub(crate) type Kept = Arc<AtomicUsize>;

/// What one connection keeps.
pub(crate) struct FrameMemory {
    /// Read since the last complete frame or request.
    unfinished: AtomicUsize,
    /// The largest that `unfinished` has been.
    largest: AtomicUsize,
    /// Of the address, if that is known at this level.
    address: Option<Kept>,
    all: Kept,
}

impl FrameMemory {
    pub(crate) fn new(address: Option<Kept>, all: Kept) -> Self {
        Self { unfinished: AtomicUsize::new(0), largest: AtomicUsize::new(0), address, all }
    }

    /// Bytes were read: whether there is room for them. Called by one task at a time.
    pub(crate) fn read(&self, bytes: usize) -> bool {
        let unfinished = self.unfinished.fetch_add(bytes, Ordering::Relaxed) + bytes;
        let largest = self.largest.load(Ordering::Relaxed);
        if unfinished <= largest {
            return true;
        }
        self.largest.store(unfinished, Ordering::Relaxed);
        let growth = unfinished.saturating_sub(largest.max(FREE_BYTES));
        if growth == 0 {
            return true;
        }
        let mut has_room = self.all.fetch_add(growth, Ordering::Relaxed) + growth <= ALL_BYTES;
        if let Some(address) = &self.address {
            has_room &= address.fetch_add(growth, Ordering::Relaxed) + growth <= ADDRESS_BYTES;
        }
        has_room
    }

    /// A frame or request is complete and out of the buffer.
    pub(crate) fn finished(&self) {
        self.unfinished.store(0, Ordering::Relaxed);
    }
}

impl Drop for FrameMemory {
    fn drop(&mut self) {
        let kept = self.largest.load(Ordering::Relaxed).saturating_sub(FREE_BYTES);
        self.all.fetch_sub(kept, Ordering::Relaxed);
        if let Some(address) = &self.address {
            address.fetch_sub(kept, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_of_an_address_keep_so_much_together_and_give_it_back() {
        let (address, all) = (Kept::default(), Kept::default());
        let connection = || FrameMemory::new(Some(Arc::clone(&address)), Arc::clone(&all));
        let large = 512 * 1024;
        let mut connections = Vec::new();
        for _ in 0..ADDRESS_BYTES / large {
            let one = connection();
            assert!(one.read(large));
            connections.push(one);
        }
        // Each had a little for free: that is room for no further large one.
        let mut late = connection();
        assert!(late.read(FREE_BYTES), "small ones are never counted");
        assert!(!late.read(large));
        late = connection();
        connections.pop();
        assert!(late.read(large));
        drop((late, connections));
        assert_eq!((address.load(Ordering::Relaxed), all.load(Ordering::Relaxed)), (0, 0));
    }

    #[test]
    fn a_connection_counts_by_its_largest_frame() {
        let all = Kept::default();
        let connection = FrameMemory::new(None, Arc::clone(&all));
        for _ in 0..10 {
            assert!(connection.read(FREE_BYTES + 1_000));
            connection.finished();
        }
        assert_eq!(all.load(Ordering::Relaxed), 1_000);
        assert!(connection.read(FREE_BYTES + 3_000));
        assert_eq!(all.load(Ordering::Relaxed), 3_000);
    }
}
