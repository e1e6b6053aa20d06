//! Who may read a key file. A test of its own, since what a process logs is shared by its tests.
#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use skep_api::ConfigSection;
use skep_protector_psk::PLUGIN;
use std::{
    fs, io,
    os::unix::fs::PermissionsExt,
    sync::{Arc, Mutex},
};
use tracing_subscriber::fmt::MakeWriter;

/// A log that a test can read.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, text: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(text)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

#[tokio::test]
async fn a_file_that_others_can_read_is_taken_with_a_warning() {
    let path = std::env::temp_dir().join(format!("skep-psk-{}.key", std::process::id()));
    fs::copy("testdata/swarm.key", &path).unwrap();
    let logged = |mode| {
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        let log = Log::default();
        let subscriber = tracing_subscriber::fmt().with_ansi(false).with_writer(log.clone()).finish();
        tracing::subscriber::with_default(subscriber, || {
            let table = serde_json::json!({ "key_file": path });
            let section = ConfigSection::from_table("protector.psk", table.as_object().unwrap().clone());
            (PLUGIN.build)(&section, &skep_testkit::build_cx()).unwrap();
        });
        String::from_utf8(std::mem::take(&mut *log.0.lock().unwrap())).unwrap()
    };
    let texts = [0o600, 0o400, 0o640, 0o604].map(logged);
    fs::remove_file(&path).unwrap();
    assert_eq!(&texts[..2], ["", ""]);
    for (text, mode) in [(&texts[2], "640"), (&texts[3], "604")] {
        assert!(text.contains("WARN"), "{text}");
        assert!(
            text.contains(path.to_str().unwrap()) && text.contains(&format!("mode=\"{mode}\"")),
            "{text}"
        );
        assert!(!text.contains("6189c5"), "{text}");
    }
}
