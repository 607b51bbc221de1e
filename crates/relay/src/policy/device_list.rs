//! A device list that replaces another: which devices go, and which are new.

use subrosa_wire::{ErrorCode, submit::Refusal};

use super::identity::{Device, DeviceList};

/// The list that an account has, and its devices.
#[derive(Debug, Clone)]
pub(crate) struct Held {
    /// As it came.
    pub(crate) bytes: Vec<u8>,
    /// Its version.
    pub(crate) version: u32,
    /// Its devices.
    pub(crate) devices: Vec<Device>,
}

/// What a newer list changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Replaced {
    /// Numbers of devices whose mailbox and prekeys go. The same number with another key is another device: it must not inherit a mailbox.
    pub(crate) gone: Vec<u32>,
    /// Devices that come.
    pub(crate) new: Vec<Device>,
}

/// Whether a list, whose signatures are verified, replaces the one that is held. `None`: it is the one that is held.
///
/// # Errors
/// It is not newer, or gives a number again.
pub(crate) fn judge_list(held: &Held, bytes: &[u8], list: &DeviceList) -> Result<Option<Replaced>, Refusal> {
    if held.bytes == bytes {
        return Ok(None);
    }
    // As every receiver of the list does it: a device that was not here is new, and has a number that was never used.
    let highest = DeviceList::stored_highest(&held.bytes).unwrap_or(u32::MAX);
    let is_held = |device: &Device| held.devices.contains(device);
    let number_again = list.devices.iter().any(|device| device.number <= highest && !is_held(device));
    if list.version <= held.version || list.highest < highest || number_again {
        return Err(Refusal::never(ErrorCode::OldDeviceList));
    }
    let gone =
        held.devices.iter().filter(|device| !list.devices.contains(device)).map(|device| device.number).collect();
    let new = list.devices.iter().filter(|device| !is_held(device)).copied().collect();
    Ok(Some(Replaced { gone, new }))
}
