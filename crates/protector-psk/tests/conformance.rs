//! What every plugin, and every protector, owes.

skep_testkit::plugin_suite!(skep_protector_psk::PLUGIN);
skep_testkit::protector_suite!(
    skep_protector_psk::PLUGIN,
    "key_file = \"testdata/swarm.key\"",
    "key_file = \"testdata/swarm.old.key\"",
    b"\x61\x89\xc5\xcf\x0b\x87\xfb\x80\x0c\x1a\x9f\xee\xda\x73\xc6\xab\
      \x5e\x99\x8d\xb4\x8f\xb9\xe6\xa9\x78\x57\x5c\x77\x0c\xee\xf6\x83"
);
