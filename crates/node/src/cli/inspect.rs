//! `skep plugins`, `check`, `explain` and `config`: what the node is made of, without running it.

use super::{
    Failure,
    args::ConfigCommand,
    context::{Context, fd_limit},
    text::{count, faint, heading},
};
use serde_json::{Value, json};
use skep_swarm::assemble::{self, KeyInfo};

/// Lists the plugins that are linked.
pub(crate) fn plugins(cx: &Context) -> Result<(), Failure> {
    let registry = cx.registry()?;
    if cx.json {
        let all: Vec<_> = registry
            .plugins()
            .map(|p| {
                json!({ "layer": p.layer, "name": p.name, "summary": p.summary, "crate": p.origin.krate,
                        "version": p.origin.version, "config": p.origin.config_file, "schema": (p.schema)() })
            })
            .collect();
        println!("{}", Value::Array(all));
        return Ok(());
    }
    let name_width = registry.plugins().map(|p| p.name.len()).max().unwrap_or_default();
    let crate_width = registry.plugins().map(|p| p.origin.krate.len()).max().unwrap_or_default();
    let mut layer = "";
    for plugin in registry.plugins() {
        if plugin.layer != layer {
            layer = plugin.layer;
            println!("{}", heading(layer));
        }
        let origin = format!("{:crate_width$} {}", plugin.origin.krate, plugin.origin.version);
        println!("  {:name_width$}  {}  {}", plugin.name, faint(&origin), plugin.summary);
    }
    Ok(())
}

/// Checks the configuration as `run` does, short of opening a socket.
pub(crate) fn check(cx: &Context) -> Result<(), Failure> {
    let (registry, profile) = (cx.registry()?, cx.profile()?);
    let plan = profile.check(&registry, fd_limit())?;
    if cx.json {
        println!("{}", json!({ "ok": true, "profile": profile.name(), "plugins": plan.plugins.len() }));
    } else {
        let plugins = count(plan.plugins.len(), "plugin");
        println!(
            "profile {}: {plugins}, {}; no problem found",
            profile.name(),
            count(plan.listen.len(), "address")
        );
    }
    Ok(())
}

/// Shows every key with its value, origin and reader.
pub(crate) fn explain(cx: &Context) -> Result<(), Failure> {
    let (registry, profile) = (cx.registry()?, cx.profile()?);
    let keys = profile.check(&registry, fd_limit())?.explain();
    if cx.json {
        let all: Vec<_> = keys
            .iter()
            .map(|k| {
                json!({ "key": k.path(), "value": k.value, "origin": k.origin.to_string(), "read_by": k.read_by,
                        "doc": k.doc })
            })
            .collect();
        println!("{}", Value::Array(all));
        return Ok(());
    }
    let width = keys.iter().map(|k| k.key.len()).max().unwrap_or_default();
    let mut table: Option<&str> = None;
    for key in &keys {
        if table != Some(key.table.as_str()) {
            let name =
                if key.table.is_empty() { "top level".to_string() } else { format!("[{}]", key.table) };
            println!(
                "{}{}  {}",
                if table.is_some() { "\n" } else { "" },
                heading(&name),
                faint(&reader(&keys, key))
            );
            table = Some(&key.table);
        }
        let value = key.value.as_ref().map_or_else(|| "(not set)".into(), Value::to_string);
        println!("  {:width$}  {value}  {}", key.key, faint(&format!("← {}", key.origin)));
        println!("  {:width$}  {}", "", faint(&key.doc));
    }
    Ok(())
}

/// The file that reads a table.
fn reader(keys: &[KeyInfo], first: &KeyInfo) -> String {
    let mut files: Vec<_> = keys.iter().filter(|k| k.table == first.table).map(|k| k.read_by).collect();
    files.dedup();
    format!("read by {}", files.join(", "))
}

/// `skep config …`.
pub(crate) fn config(command: &ConfigCommand, cx: &Context) -> Result<(), Failure> {
    let registry = cx.registry()?;
    match command {
        ConfigCommand::Schema => println!("{:#}", assemble::schema(&registry)),
        ConfigCommand::Show => print!("{}", cx.profile()?.check(&registry, fd_limit())?.show()),
    }
    Ok(())
}
