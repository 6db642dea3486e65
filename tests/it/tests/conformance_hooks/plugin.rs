//! A plugin of a case at the host of plugins.

use lwm2m_plugins::{PluginConfig, PluginHost, PluginsConfig};
use lwm2m_server::{Hook, ServerBuilder};

use super::Installed;

/// Time enough for a busy machine: what never ends is not what these cases are about.
const PATIENCE_MS: u64 = 60_000;

/// Puts a plugin of one file into a host and the host into a server. It may publish.
pub(super) async fn install(
    builder: ServerBuilder,
    file: &str,
    code: impl AsRef<[u8]>,
    settings: toml::Table,
) -> Installed {
    let folder = tempfile::tempdir().expect("a folder");
    let plugin = folder.path().join("case");
    std::fs::create_dir(&plugin).expect("a folder");
    std::fs::write(plugin.join(file), code).expect("a file");
    let manifest = format!("name = 'case'\nsource = '{file}'\npermissions = ['events']");
    std::fs::write(plugin.join("plugin.toml"), manifest).expect("a file");
    let mut config = PluginConfig::new("case");
    config.grant = vec!["events".to_owned()];
    config.config = settings;
    for hook in Hook::ALL {
        config
            .timeout_ms
            .insert(hook.name().to_owned(), PATIENCE_MS);
    }
    let config = PluginsConfig {
        directory: Some(folder.path().to_owned()),
        plugin: vec![config],
        ..PluginsConfig::default()
    };
    let host = PluginHost::with(config).await.expect("a host");
    let plugin = &host.list()[0];
    assert_eq!(plugin.error, None, "{file} is loaded");
    Installed {
        builder: builder.intercept(host.clone()),
        interceptor: Box::new(host),
        folder: Some(folder),
    }
}
