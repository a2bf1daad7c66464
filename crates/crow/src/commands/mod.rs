//! One file per command.

pub(crate) mod acp;
pub(crate) mod demo;
pub(crate) mod doctor;
pub(crate) mod hooks;
pub(crate) mod import;
pub(crate) mod init;
pub(crate) mod plugin;
pub(crate) mod plugins;
pub(crate) mod run;
pub(crate) mod sessions;
pub(crate) mod stats;
pub(crate) mod status;
pub(crate) mod trust;
pub(crate) mod undo;
