//! `skep plugins`, `check`, `explain` and `config`: what the node is made of, without running it.

use super::{
    Failure,
    args::ConfigCommand,
    context::{Context, fd_limit},
    text::{bytes, count, faint, heading, print, table},
};
use serde_json::{Value, json};
use skep_api::{Keypair, plugin::layer, reload::Reload, resources::Resource};
use skep_swarm::{
    SwarmBuilder,
    assemble::{self, KeyInfo},
};
use std::fmt::Write;

/// Lists the plugins that are linked.
pub(crate) fn plugins(cx: &Context) -> Result<(), Failure> {
    let registry = cx.registry()?;
    // From the socket up, as `[stack]` has them.
    let of = |layer: &'static str| registry.plugins().filter(move |p| p.layer == layer);
    if cx.json {
        let all = layer::ALL.iter().flat_map(|(layer, _)| of(layer)).map(|p| {
            json!({ "layer": p.layer, "name": p.name, "summary": p.summary, "crate": p.origin.krate,
                    "version": p.origin.version, "config": p.origin.config_file, "schema": (p.schema)() })
        });
        return print(all.collect::<Value>());
    }
    let name_width = registry.plugins().map(|p| p.name.len()).max().unwrap_or_default();
    let crate_width = registry.plugins().map(|p| p.origin.krate.len()).max().unwrap_or_default();
    let mut lines = Vec::new();
    for (layer, _) in layer::ALL {
        for (i, plugin) in of(layer).enumerate() {
            if i == 0 {
                lines.push(heading(layer));
            }
            let origin = format!("{:crate_width$} {}", plugin.origin.krate, plugin.origin.version);
            lines.push(format!("  {:name_width$}  {}  {}", plugin.name, faint(&origin), plugin.summary));
        }
    }
    print(lines.join("\n"))
}

/// Checks the configuration as `run` does, short of opening a socket.
pub(crate) fn check(cx: &Context) -> Result<(), Failure> {
    let (registry, profile) = (cx.registry()?, cx.profile()?);
    let plan = profile.check(&registry, fd_limit())?;
    let (plugins, listen) = (plan.plugins.len(), &plan.listen);
    if cx.json {
        return print(json!({ "ok": true, "profile": profile.name(), "plugins": plugins, "listen": listen }));
    }
    let (plugins, addresses) = (count(plugins, "plugin"), count(listen.len(), "address"));
    print(format_args!("profile {}: {plugins}, {addresses}; no problem found", profile.name()))
}

/// Shows every key with its value, origin and reader.
pub(crate) fn explain(cx: &Context) -> Result<(), Failure> {
    let (registry, profile) = (cx.registry()?, cx.profile()?);
    let keys = profile.check(&registry, fd_limit())?.explain();
    if cx.json {
        let all = keys.iter().map(|k| {
            json!({ "key": k.path(), "value": k.value, "origin": k.origin.to_string(), "read_by": k.read_by,
                    "doc": k.doc, "reload": k.reload.name() })
        });
        return print(all.collect::<Value>());
    }
    let width = keys.iter().map(|k| k.key.len()).max().unwrap_or_default();
    let tables = keys.chunk_by(|a, b| a.table == b.table).map(|table| explain_table(table, width));
    print(tables.collect::<Vec<_>>().join("\n"))
}

/// Shows the limits of the resource manager on this machine.
pub(crate) fn limits(cx: &Context) -> Result<(), Failure> {
    let (registry, profile) = (cx.registry()?, cx.profile()?);
    // The limits are the same for every key.
    let builder = SwarmBuilder::new(Keypair::generate_ed25519());
    let assembly = profile.assemble(&registry, builder.build_cx(), fd_limit())?;
    let limits = assembly.stack.resources.map(|resources| resources.object.limits()).unwrap_or_default();
    if cx.json {
        let all = limits.iter().map(|l| {
            json!({ "scope": l.scope, "resource": l.resource.name(), "limit": l.limit, "key": l.key, "why": l.why })
        });
        return print(json!({ "limits": all.collect::<Value>(), "notes": assembly.notes }));
    }
    if limits.is_empty() {
        return print("no limits but those of `[swarm]`: see `skep explain`");
    }
    let rows = limits.into_iter().map(|l| {
        let amount = |n| if l.resource == Resource::Memory { bytes(n) } else { n.to_string() };
        let limit = l.limit.map_or_else(|| "unlimited".into(), amount);
        [l.scope, l.resource.name().into(), limit, l.key, l.why]
    });
    let notes: String = assembly.notes.iter().map(|note| format!("\n  {note}")).collect();
    print(format!("{}{notes}", table(["scope", "resource", "limit", "key", "why"], rows)))
}

/// The keys of one table.
fn explain_table(keys: &[KeyInfo], width: usize) -> String {
    let name = keys.first().map_or("", |key| &key.table);
    let name = if name.is_empty() { "top level".to_string() } else { format!("[{name}]") };
    let mut files: Vec<_> = keys.iter().map(|k| k.read_by).collect();
    files.dedup();
    let mut text = format!("{}  {}\n", heading(&name), faint(&format!("read by {}", files.join(", "))));
    for key in keys {
        let value = key.value.as_ref().map_or_else(|| "(not set)".into(), Value::to_string);
        let _ = writeln!(text, "  {:width$}  {value}  {}", key.key, faint(&format!("← {}", key.origin)));
        let _ =
            writeln!(text, "  {:width$}  {}", "", faint(&format!("[{}] {}", effect(key.reload), key.doc)));
    }
    text
}

/// When a change has effect.
fn effect(reload: Reload) -> &'static str {
    match reload {
        Reload::Live => "live",
        Reload::NewConnections => "new connections",
        _ => "restart",
    }
}

/// `skep config …`.
pub(crate) fn config(command: &ConfigCommand, cx: &Context) -> Result<(), Failure> {
    let registry = cx.registry()?;
    match command {
        ConfigCommand::Schema => print(format_args!("{:#}", assemble::schema(&registry))),
        ConfigCommand::Show => {
            let shown = cx.profile()?.check(&registry, fd_limit())?.show();
            if cx.json { print(as_json(&shown)?) } else { print(shown.trim_end()) }
        }
    }
}

fn as_json(toml: &str) -> Result<Value, Failure> {
    toml::from_str(toml).map_err(|e| Failure::Io("show the configuration".into(), std::io::Error::other(e)))
}
