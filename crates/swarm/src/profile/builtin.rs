//! The profiles that are part of the program.

use skep_api::{
    ConfigError,
    config::{ValueOrigin, nearest},
};

/// The names of the built-in profiles with their text.
pub const BUILTIN: [(&str, &str); 4] = [
    ("default", include_str!("../../../../profiles/default.toml")),
    ("public", include_str!("../../../../profiles/public.toml")),
    ("private_cluster", include_str!("../../../../profiles/private_cluster.toml")),
    ("embedded_device", include_str!("../../../../profiles/embedded_device.toml")),
];

/// The text of a built-in profile.
///
/// figment makes an empty profile of any name that is asked for, so the name is looked up here.
pub(super) fn find(name: &str) -> Result<&'static str, ConfigError> {
    let found = BUILTIN.iter().find(|(known, _)| *known == name);
    found.map(|(_, text)| *text).ok_or_else(|| {
        let names = BUILTIN.map(|(known, _)| known);
        let guess = nearest(name, names).map(|n| format!("did you mean `{n}`? ")).unwrap_or_default();
        ConfigError {
            key: "--profile".into(),
            origin: ValueOrigin::Flag(format!("--profile {name}")),
            problem: format!("there is no profile {name:?}"),
            help: format!("{guess}profiles: {}; a file of your own goes to --config", names.join(", ")),
        }
    })
}
