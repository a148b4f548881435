//! `rusuden key`: make, list, revoke API keys in a data folder, whether the service runs or not.

use crate::cli::{KeyAction, KeyArguments};

pub(crate) fn run(_arguments: &KeyArguments) -> anyhow::Result<()> {
    unreachable!("filled once the control plane's key store is there")
}
