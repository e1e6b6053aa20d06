use super::*;

fn read(suite: Suite, text: &str) -> Result<Plan, String> {
    let variables = text.split_whitespace().filter_map(|word| word.split_once('='));
    Plan::read(suite, variables.map(|(name, value)| (name.into(), value.into()))).map_err(|e| e.to_string())
}

const LISTENER: &str = "IS_DIALER=false REDIS_ADDR=redis:6379 TEST_KEY=a5b50d5e TRANSPORT=tcp SECURE_CHANNEL=noise \
    MUXER=yamux LISTENER_IP=0.0.0.0 DEBUG=false";
const PERF_DIALER: &str = "IS_DIALER=true REDIS_ADDR=perf-redis:6379 TEST_KEY=a5b50d5e TRANSPORT=quic-v1 \
    UPLOAD_BYTES=1000 DOWNLOAD_BYTES=2000 UPLOAD_ITERATIONS=null DOWNLOAD_ITERATIONS=3 LATENCY_ITERATIONS=4 DURATION=20";

#[test]
fn a_listener_of_the_transport_suite() {
    let plan = read(Suite::Transport, LISTENER).unwrap();
    assert_eq!(plan.role, Role::Listener([0, 0, 0, 0].into()));
    assert_eq!(plan.stack.to_string(), "tcp-noise-yamux");
    assert_eq!((plan.redis.as_str(), plan.key.as_str()), ("redis:6379", "a5b50d5e_listener_multiaddr"));
    assert_eq!(plan.timeout, Duration::from_secs(180));
    assert!(!plan.debug && !plan.json && plan.unused.is_empty());
}

#[test]
fn a_dialer_of_the_perf_suite() {
    let plan = read(Suite::Perf, PERF_DIALER).unwrap();
    let load = Load {
        upload_bytes: 1000,
        download_bytes: 2000,
        upload_iterations: 10,
        download_iterations: 3,
        latency_iterations: 4,
    };
    assert_eq!(plan.role, Role::Dialer(load));
    assert_eq!(plan.stack.to_string(), "quic");
    assert_eq!(plan.timeout, Duration::from_secs(3600));
    assert_eq!(plan.unused, ["DURATION"]);
}

#[test]
fn the_older_names() {
    let older = "is_dialer=true transport=ws security=tls muxer=mplex test_timeout_seconds=7";
    let plan = read(Suite::Transport, older).unwrap();
    assert!(matches!(plan.role, Role::Dialer(_)) && plan.json);
    assert_eq!((plan.redis.as_str(), plan.key.as_str()), ("redis:6379", "listenerAddr"));
    assert_eq!((plan.stack.to_string().as_str(), plan.timeout.as_secs()), ("ws-tls-mplex", 7));
    let plan =
        read(Suite::Transport, &format!("{older} ip=127.0.0.1 redis_addr=localhost:1 is_dialer=false"));
    let plan = plan.unwrap();
    assert_eq!((plan.redis.as_str(), plan.role), ("localhost:1", Role::Listener([127, 0, 0, 1].into())));
}

#[test]
fn the_newer_names_win() {
    let plan = read(Suite::Transport, &format!("{LISTENER} transport=ws is_dialer=true")).unwrap();
    assert_eq!(plan.stack.transport(), "tcp");
    assert!(matches!(plan.role, Role::Listener(_)) && !plan.json);
}

#[test]
fn security_and_muxer_are_not_wanted_where_a_transport_brings_them() {
    let with = |more: &str| format!("IS_DIALER=true REDIS_ADDR=r:1 TEST_KEY=k TRANSPORT=quic-v1 {more}");
    for more in ["", "SECURE_CHANNEL=null MUXER=null"] {
        assert_eq!(read(Suite::Transport, &with(more)).unwrap().stack.to_string(), "quic");
    }
}

#[test]
fn everything_that_is_missing_is_named_at_once() {
    assert_eq!(
        read(Suite::Transport, "").unwrap_err(),
        "the environment is not as the suites have it:\n  \
         IS_DIALER: it is not set; allowed: true or false\n  \
         TRANSPORT: it is not set; allowed: tcp, ws or quic-v1\n  \
         TEST_KEY: it is not set; allowed: the text that both sides of a test get\n  \
         REDIS_ADDR: it is not set; allowed: host:port"
    );
    assert_eq!(
        read(Suite::Transport, "IS_DIALER=false REDIS_ADDR=r:1 TEST_KEY=k TRANSPORT=tcp MUXER=").unwrap_err(),
        "the environment is not as the suites have it:\n  \
         SECURE_CHANNEL: it is not set; allowed: noise, tls or plaintext\n  \
         MUXER: it is not set; allowed: yamux or mplex"
    );
}

#[test]
fn everything_that_is_wrong_is_named_at_once() {
    let listener = "IS_DIALER=maybe REDIS_ADDR=redis TEST_KEY=k TRANSPORT=memory LISTENER_IP=here DEBUG=yes \
        TEST_TIMEOUT_SECS=0";
    assert_eq!(
        read(Suite::Transport, listener).unwrap_err(),
        "the environment is not as the suites have it:\n  \
         IS_DIALER: \"maybe\" is not allowed; allowed: true or false\n  \
         TRANSPORT: \"memory\" is not allowed; allowed: tcp, ws or quic-v1\n  \
         REDIS_ADDR: \"redis\" is not allowed; allowed: host:port, such as redis:6379\n  \
         LISTENER_IP: \"here\" is not allowed; allowed: an IP address, or nothing for 0.0.0.0\n  \
         TEST_TIMEOUT_SECS: \"0\" is not allowed; allowed: 1 to 86400, or nothing for 180\n  \
         DEBUG: \"yes\" is not allowed; allowed: true or false"
    );
    let dialer = "IS_DIALER=true REDIS_ADDR=r:0 TEST_KEY=k TRANSPORT=quic-v1 UPLOAD_BYTES=0 DOWNLOAD_BYTES=1GiB \
        UPLOAD_ITERATIONS=-1 DOWNLOAD_ITERATIONS=1000001 LATENCY_ITERATIONS=2.5";
    let bytes = "1 to 9223372036854775807, or nothing for 1073741824";
    assert_eq!(
        read(Suite::Perf, dialer).unwrap_err(),
        format!(
            "the environment is not as the suites have it:\n  \
             REDIS_ADDR: \"r:0\" is not allowed; allowed: host:port, such as redis:6379\n  \
             UPLOAD_BYTES: \"0\" is not allowed; allowed: {bytes}\n  \
             DOWNLOAD_BYTES: \"1GiB\" is not allowed; allowed: {bytes}\n  \
             UPLOAD_ITERATIONS: \"-1\" is not allowed; allowed: 1 to 1000000, or nothing for 10\n  \
             DOWNLOAD_ITERATIONS: \"1000001\" is not allowed; allowed: 1 to 1000000, or nothing for 10\n  \
             LATENCY_ITERATIONS: \"2.5\" is not allowed; allowed: 1 to 1000000, or nothing for 100"
        )
    );
}
