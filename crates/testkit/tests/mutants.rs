//! Every suite passes on a small correct double, and a double that breaks one obligation fails exactly that
//! property. Where a fault cannot be seen by one property alone, all that see it are named.

mod doubles;

use doubles::{
    bent, muxer, peerstore, plain, plugin, policy, protector, ranker, resources, secured, security, selector,
    service, transport,
};
use skep_testkit::{
    DuplexConfig, Property,
    harness::Fixture,
    run_all,
    suite::{self, streams::Carries},
};
use std::sync::{Arc, Mutex, atomic::AtomicUsize};

/// Runs a suite and compares the names of the properties that fail.
#[track_caller]
fn expect<F: Fixture>(properties: &[Property<F>], fixture: F, double: &str, failing: &[&str]) {
    let failures = run_all(properties, &fixture);
    let names: Vec<_> = failures.iter().map(|failure| failure.property).collect();
    assert_eq!(names, failing, "{double}:\n{failures:#?}");
}

/// One test for each double: what is wrong with it, and the properties that fail.
macro_rules! doubles {
    ($run:ident: $($test:ident: $fault:expr => [$($failing:literal),*];)+) => { $(
        #[test]
        fn $test() {
            $run($fault, &[$($failing),*]);
        }
    )+ };
}

fn transport_fails(fault: transport::Fault, failing: &[&str]) {
    let build = move || Arc::new(transport::Memory::new(fault)) as Arc<dyn skep_api::transport::Transport>;
    let fixture = suite::transport::Fixture::in_memory(transport::memory(0), build);
    expect(&suite::transport::properties(), fixture, &format!("{fault:?}"), failing);
}

doubles! { transport_fails:
    a_right_transport: transport::Fault::Nothing => [];
    transport_t1: transport::Fault::ForeignAddressesAreRefused => ["t1_supports_agrees_with_dial_and_listen"];
    transport_t2: transport::Fault::EveryDiallerHasOneAddress => ["t2_a_link_names_both_ends"];
    transport_t3: transport::Fault::DroppedDialGoesOn => ["t3_a_dropped_dial_leaves_nothing_open"];
    transport_t4: transport::Fault::PortZeroIsReported => ["t4_port_zero_is_resolved"];
    transport_t5: transport::Fault::ErrorsHaveNoAddress => ["t5_a_failure_names_the_address"];
    transport_t6: transport::Fault::PeerSuffixIsUnsupported => ["t6_a_peer_suffix_is_ignored_by_raw_links_alone"];
    transport_l1: transport::Fault::AcceptYieldsWithTheConnection => ["l1_accept_is_cancel_safe"];
    transport_l2: transport::Fault::AcceptEndsAfterDeadConnections
        => ["l2_a_dead_connection_does_not_end_the_listener"];
    transport_l3: transport::Fault::ListenerKeepsItsAddress => ["l3_dropping_the_listener_frees_the_address"];
    transport_n1: transport::Fault::RefusalSaysWhy => ["n1_nothing_is_sent_or_read_before_accept"];
    transport_n2_refuse: transport::Fault::RefusalLeavesTheStreamOpen => ["n2_refusing_ends_the_connection"];
    transport_n2_drop: transport::Fault::DropLeavesTheStreamOpen => ["n2_dropping_ends_the_connection"];
    transport_bytes: transport::Fault::AByteFarBehindIsChanged => ["bytes_arrive_as_they_were_sent"];
    transport_half_close: transport::Fault::ShutdownIsNotPassedOn => ["half_close_leaves_the_way_back_open"];
    transport_parallel: transport::Fault::MoreThanThirtyTwoAreLost => ["a_hundred_parallel_dials_arrive"];
}

fn secured_transport_fails(fault: secured::Fault, failing: &[&str]) {
    let build = move || Arc::new(secured::Secure::new(fault)) as Arc<dyn skep_api::transport::Transport>;
    let fixture = suite::transport::Fixture::in_memory(transport::memory(0), build);
    expect(&suite::transport::properties(), fixture, &format!("{fault:?}"), failing);
}

doubles! { secured_transport_fails:
    a_right_secured_transport: secured::Fault::Nothing => [];
    secured_t6_peer: secured::Fault::AnyPeerWillDo => ["t6_a_peer_suffix_is_ignored_by_raw_links_alone"];
    secured_t6_listener: secured::Fault::TheListenerIsToldFirst
        => ["t6_a_peer_suffix_is_ignored_by_raw_links_alone"];
    secured_t6_verdict: secured::Fault::TheVerdictIsLost => ["t6_a_peer_suffix_is_ignored_by_raw_links_alone"];
}

fn security_fails(fault: security::Fault, failing: &[&str]) {
    let fixture = suite::security::Fixture::new(move |key| Arc::new(security::Masked { fault, key }));
    expect(&suite::security::properties(), fixture, &format!("{fault:?}"), failing);
}

doubles! { security_fails:
    a_right_security: security::Fault::Nothing => [];
    security_s1: security::Fault::VerifiesItself => ["s1_each_end_learns_who_the_other_is"];
    security_s2: security::Fault::DialerSendsItsLastMessageFirst => ["s2_another_peer_fails_at_both_ends"];
    security_s3_truncated_handshake: security::Fault::EndStandsForTheTrailer
        => ["s3_a_truncated_handshake_fails"];
    security_s3_changed_handshake: security::Fault::TrailerIsNotLookedAt => ["s3_a_changed_handshake_fails"];
    security_s3_truncated_record: security::Fault::EndWithinALengthIsAnEnd
        => ["s3_a_truncated_record_is_an_error"];
    security_s3_changed_record: security::Fault::ChecksumCoversTheFirstHundredBytes
        => ["s3_a_changed_record_is_an_error"];
    security_s3_replayed_record: security::Fault::RecordsHaveNoNumbers => ["s3_a_replayed_record_is_an_error"];
    security_s4: security::Fault::CipherIsOff => ["s4_no_plaintext_is_on_the_wire"];
    security_s5_junk: security::Fault::LongFramesWaitForEver => ["s5_junk_ends_the_handshake"];
    security_s5_endless: security::Fault::EmptyFramesAreSkipped => ["s5_a_handshake_that_never_ends_is_given_up"];
    security_s7: security::Fault::ShutdownIsNotPassedOn => ["s7_the_end_of_one_direction_arrives_as_such"];
    security_s8: security::Fault::HandshakeRunsInATask => ["s8_dropping_the_handshake_closes_the_stream"];
    security_early_muxer: security::Fault::EachTakesItsOwnMuxer => ["early_muxer_is_the_same_at_both_ends"];
    security_mebibyte: security::Fault::AByteFarBehindIsChanged => ["a_mebibyte_goes_both_ways"];
    security_short: security::Fault::OneByteReadsAreJunk => ["short_reads_and_writes_change_nothing"];
}

/// Without the last message there is no channel, so that every property that needs one fails with it.
#[test]
fn security_s6() {
    let fault = security::Fault::FlushKeepsTheLastMessage;
    let fixture = suite::security::Fixture::new(move |key| Arc::new(security::Masked { fault, key }));
    let properties = suite::security::properties();
    let s6 = properties.iter().find(|p| p.name == "s6_the_first_flush_ends_the_handshake").unwrap();
    assert!(s6.run(&fixture).is_err());
}

fn insecure_upgrader_fails(fault: plain::Fault, failing: &[&str]) {
    let fixture = suite::security::Fixture::new(move |key| Arc::new(plain::Plain { fault, key }));
    expect(&suite::insecure_upgrader::properties(), fixture, &format!("{fault:?}"), failing);
}

doubles! { insecure_upgrader_fails:
    a_right_insecure_upgrader: plain::Fault::Nothing => [];
    insecure_consent: plain::Fault::ConsentIsNotAskedFor => ["insecure_needs_consent"];
    insecure_s2: plain::Fault::ExpectationIsDropped => ["s2_another_peer_fails_at_both_ends"];
}

/// An upgrade that proves who the peer is needs no consent, and does not claim to.
#[test]
fn a_secure_upgrader_is_not_insecure() {
    let fault = security::Fault::Nothing;
    let fixture = suite::security::Fixture::new(move |key| Arc::new(security::Masked { fault, key }));
    let properties = suite::insecure_upgrader::properties();
    let consent = properties.iter().find(|p| p.name == "insecure_needs_consent").unwrap();
    assert!(consent.run(&fixture).is_err());
}

fn protector_fails(fault: protector::Fault, failing: &[&str]) {
    let fixture = suite::protector::Fixture::new(protector::KEY, move |network| {
        let key = match network {
            suite::protector::Network::Ours => protector::KEY,
            suite::protector::Network::Theirs => protector::OTHER_KEY,
        };
        Arc::new(protector::Veil { fault, key })
    });
    expect(&suite::protector::properties(), fixture, &format!("{fault:?}"), failing);
}

doubles! { protector_fails:
    a_right_protector: protector::Fault::Nothing => [];
    protector_p1_networks: protector::Fault::KeyIsNotUsed => ["p1_another_network_is_refused"];
    protector_p1_junk: protector::Fault::NoncesOfOnesAreWaitedOn => ["p1_junk_is_refused"];
    protector_p1_clear: protector::Fault::ClearPeersPass => ["p1_a_peer_in_clear_is_refused"];
    protector_p1_mirror: protector::Fault::MirrorsPass => ["p1_a_mirror_is_refused"];
    protector_p1_end: protector::Fault::EndWithinTheHeaderIsAnEnd
        => ["p1_nothing_passes_before_the_peer_is_known"];
    protector_p1_early: protector::Fault::HeaderIsPassedOnAsItComes
        => ["p1_nothing_passes_before_the_peer_is_known", "p1_a_changed_opening_is_refused"];
    protector_p1_changed: protector::Fault::HeaderIsHalfCompared => ["p1_a_changed_opening_is_refused"];
    protector_p2_clear: protector::Fault::CipherIsOffAfterTheHeader
        => ["p2_nothing_of_the_inside_is_on_the_wire", "p2_the_same_words_never_look_the_same"];
    protector_p2_same: protector::Fault::NonceIsThatOfTheRole => ["p2_the_same_words_never_look_the_same"];
    protector_p3_debug: protector::Fault::DebugShowsTheKey => ["p3_no_key_is_shown"];
    protector_p3_errors: protector::Fault::ErrorsShowTheKey => ["p3_no_key_is_shown"];
    protector_p3_fingerprint: protector::Fault::FingerprintShowsTheKey => ["p3_no_key_is_shown"];
    protector_p4_waits: protector::Fault::DialerTakesASecond => ["p4_a_dialler_waits_for_nothing"];
    protector_p4_sends: protector::Fault::DialerSendsItsNonceFirst
        => ["p1_nothing_passes_before_the_peer_is_known", "p1_a_changed_opening_is_refused", "p4_a_dialler_waits_for_nothing", "p4_the_first_bytes_leave_together"];
    protector_p4_alone: protector::Fault::NonceGoesAlone => ["p4_the_first_bytes_leave_together"];
    protector_fingerprints: protector::Fault::AllNetworksLookTheSame => ["fingerprints_name_the_network"];
    protector_half_close: protector::Fault::ShutdownIsNotPassedOn
        => ["the_end_of_one_direction_arrives_as_such"];
    protector_dropped: protector::Fault::ListenerRunsInATask => ["dropping_protect_closes_the_link"];
    protector_mebibyte: protector::Fault::AByteFarBehindIsChanged => ["a_mebibyte_goes_both_ways"];
    protector_short: protector::Fault::OneByteReadsAreJunk => ["short_reads_and_writes_change_nothing"];
}

fn muxer_fails(fault: muxer::Fault, failing: &[&str]) {
    let fixture = suite::muxer::Fixture::new(move || Arc::new(muxer::Frames(fault)));
    expect(&suite::muxer::properties(), fixture, &format!("{fault:?}"), failing);
}

doubles! { muxer_fails:
    a_right_muxer: muxer::Fault::Nothing => [];
    muxer_m1: muxer::Fault::MuxSendsABell => ["m1_mux_sends_nothing_by_itself"];
    muxer_m2: muxer::Fault::JunkPanics => ["m2_junk_ends_the_connection"];
    muxer_m3: muxer::Fault::WindowIsIgnored => ["m3_unread_data_is_bounded"];
    muxer_c1: muxer::Fault::OpenWaitsForTheBell => ["c1_open_can_be_written_at_once"];
    muxer_c2: muxer::Fault::AcceptYieldsWithTheStream => ["c2_accept_is_cancel_safe_and_in_order"];
    muxer_c3: muxer::Fault::BacklogIsUnbounded => ["c3_streams_that_nobody_accepts_are_bounded"];
    muxer_c4_code: muxer::Fault::CloseTellsAnotherCode => ["c4_close_is_told_with_its_code"];
    muxer_c4_sends: muxer::Fault::CloseDropsWhatWaits => ["c4_close_sends_what_was_finished"];
    muxer_c5_lost: muxer::Fault::CloseAfterTheEndWaits => ["c5_a_lost_connection_ends_everything"];
    muxer_c5_data: muxer::Fault::LossDropsWhatArrived => ["c5_data_that_had_arrived_is_read_first"];
    muxer_c5_driver: muxer::Fault::DroppedDriverTellsNobody
        => ["c5_dropping_the_driver_ends_the_connection"];
    muxer_c6_heard: muxer::Fault::PongIsNotHeard => ["c6_a_probe_makes_the_peer_heard"];
    muxer_c6_once: muxer::Fault::EveryProbeIsSent => ["c6_one_probe_is_on_its_way_at_once"];
    muxer_r1: muxer::Fault::ResetIsAnEnd => ["r1_a_reset_is_no_end_of_file"];
    muxer_r2: muxer::Fault::NoCreditAfterShutdown => ["r2_shutdown_leaves_the_way_back_open"];
    muxer_r3: muxer::Fault::DropIsAnEnd => ["r3_dropping_unfinished_is_a_reset"];
    muxer_r4: muxer::Fault::DropTakesBackWhatWaits => ["r4_dropping_after_shutdown_loses_nothing"];
    muxer_r5: muxer::Fault::OneFullStreamStopsAll => ["r5_a_slow_reader_holds_up_no_other_stream"];
    muxer_stop: muxer::Fault::NoCreditAfterStop => ["stop_reading_does_not_block_the_writer"];
    muxer_both_ends: muxer::Fault::NumbersAreSharedByTheEnds => ["streams_open_from_both_ends"];
    muxer_thousand: muxer::Fault::FiveHundredStreamsInAll => ["a_thousand_streams_in_turn"];
    muxer_hundred: muxer::Fault::FiftyStreamsAtOnce => ["a_hundred_streams_at_once"];
    muxer_short: muxer::Fault::OneByteReadsAreJunk
        => ["short_reads_and_writes_of_the_link_change_nothing"];
}

fn frames(fault: muxer::Fault, carries: Carries) -> suite::streams::Fixture {
    let build = move || Arc::new(muxer::Frames(fault)) as Arc<dyn skep_api::muxer::Muxer>;
    suite::streams::Fixture::muxer(carries, DuplexConfig::default(), build)
}

fn streams_of_a_muxer_fail(fault: muxer::Fault, failing: &[&str]) {
    let fixture = frames(fault, Carries::RESETS_AND_CLOSES);
    expect(&suite::streams::properties(), fixture, &format!("{fault:?}"), failing);
}

doubles! { streams_of_a_muxer_fail:
    right_streams: muxer::Fault::Nothing => [];
    streams_half_closed: muxer::Fault::NoCreditAfterShutdown => ["half_closed_takes_ten_mebibytes_back", "a_slow_stream_holds_up_no_other"];
    streams_finishing_then_dropping: muxer::Fault::DropTakesBackWhatWaits => ["finishing_then_dropping_loses_nothing", "reading_and_writing_go_on_in_two_tasks"];
    streams_reader_gone: muxer::Fault::GoneReadersAreNotTold => ["a_writer_is_told_that_its_reader_has_finished_and_gone"];
    streams_reset_is_an_end: muxer::Fault::ResetIsAnEnd => ["a_reset_by_the_reader_ends_a_blocked_write", "a_reset_by_the_writer_ends_a_waiting_read", "a_reset_after_finishing_is_no_silent_loss", "a_reset_after_the_end_changes_nothing"];
    streams_reset_after_finishing: muxer::Fault::ResetEmptiesAFinishedStream => ["finishing_then_dropping_loses_nothing", "a_writer_is_told_that_its_reader_has_finished_and_gone", "a_reset_after_finishing_is_no_silent_loss", "reading_and_writing_go_on_in_two_tasks"];
    streams_reset_after_the_end: muxer::Fault::ResetsOverrideTheEnd => ["a_reset_after_the_end_changes_nothing", "dropping_with_unread_data_is_a_reset"];
    streams_reset_of_one: muxer::Fault::ResetDropsWhatWaits => ["a_reset_of_one_stream_leaves_the_others"];
    streams_stop: muxer::Fault::NoCreditAfterStop => ["stop_reading_lets_the_writer_go"];
    streams_stop_not_promised: muxer::Fault::StopIsTold => ["stop_reading_lets_the_writer_go"];
    streams_close_code: muxer::Fault::CloseTellsAnotherCode => ["closing_delivers_what_was_finished_and_tells_the_code", "closing_ends_a_blocked_write"];
    streams_close_sends: muxer::Fault::CloseDropsWhatWaits => ["closing_delivers_what_was_finished_and_tells_the_code"];
    streams_loss_drops: muxer::Fault::LossDropsWhatArrived => ["cutting_in_the_middle_ends_both_ends_after_what_arrived", "the_end_of_file_outlives_the_connection"];
    streams_loss_overrides: muxer::Fault::LossOverridesTheEnd => ["closing_delivers_what_was_finished_and_tells_the_code"];
    streams_slow: muxer::Fault::OneFullStreamStopsAll => ["closing_ends_a_blocked_write", "a_slow_stream_holds_up_no_other"];
}

/// What a muxer is said to carry is required, no more and no less.
fn streams_of_a_muxer_that_tells_stops_fail(fault: muxer::Fault, failing: &[&str]) {
    let fixture = frames(fault, Carries::ALL);
    expect(&suite::streams::properties(), fixture, &format!("{fault:?}"), failing);
}

doubles! { streams_of_a_muxer_that_tells_stops_fail:
    right_stops: muxer::Fault::StopIsTold => [];
    stops_code: muxer::Fault::StopIsToldWithAnotherCode => ["stop_reading_lets_the_writer_go"];
    stops_not_told: muxer::Fault::Nothing => ["stop_reading_lets_the_writer_go"];
}

fn bent_streams_fail(bend: bent::Bend, failing: &[&str]) {
    let fixture = bent::bent(bend, Carries::RESETS_AND_CLOSES);
    expect(&suite::streams::properties(), fixture, &format!("{bend:?}"), failing);
}

doubles! { bent_streams_fail:
    streams_accept: bent::Bend::AcceptWaitsForData => ["the_accepting_end_may_speak_first"];
    streams_empty: bent::Bend::EmptyStreamsAreSkipped => ["the_opener_may_finish_at_once"];
    streams_counted: bent::Bend::EndedStreamsAreCounted => ["streams_dropped_at_once_leave_nothing"];
    streams_drop: bent::Bend::DropIsAnEnd => ["writing_then_dropping_is_a_reset", "dropping_with_unread_data_is_a_reset", "streams_dropped_at_once_leave_nothing"];
    streams_drop_untouched: bent::Bend::UntouchedStreamsAreFinished => ["streams_dropped_at_once_leave_nothing"];
    streams_drop_unread: bent::Bend::DroppedReadersSayNothing => ["dropping_with_unread_data_is_a_reset"];
    streams_finish_both: bent::Bend::FinishEndsReading => ["half_closed_takes_ten_mebibytes_back", "both_may_finish_at_once", "a_finished_stream_takes_no_more_writes", "a_reset_after_finishing_is_no_silent_loss", "a_reset_after_the_end_changes_nothing", "dropping_with_unread_data_is_a_reset", "closing_delivers_what_was_finished_and_tells_the_code", "the_accepting_end_may_speak_first", "the_opener_may_finish_at_once", "streams_dropped_at_once_leave_nothing", "a_slow_stream_holds_up_no_other"];
    streams_end_once: bent::Bend::TheEndIsReadOnce => ["writing_then_dropping_is_a_reset", "the_end_of_file_stays", "a_reset_by_the_reader_ends_a_blocked_write", "a_reset_by_the_writer_ends_a_waiting_read", "a_reset_after_finishing_is_no_silent_loss", "a_reset_after_the_end_changes_nothing", "stop_reading_lets_the_writer_go", "the_end_of_file_outlives_the_connection"];
    streams_after_the_end: bent::Bend::WritesAfterTheEndVanish => ["a_finished_stream_takes_no_more_writes", "dropping_with_unread_data_is_a_reset"];
    streams_empty_writes: bent::Bend::EmptyWritesFinish => ["nothing_written_changes_nothing"];
    streams_small_writes: bent::Bend::AByteIsLost => ["many_small_writes_arrive"];
    streams_one_waker: bent::Bend::OneWakerForBoth => ["reading_and_writing_go_on_in_two_tasks"];
    streams_stop_is_a_reset: bent::Bend::StopIsAReset => ["stop_reading_lets_the_writer_go", "stop_reading_leaves_the_way_back_open"];
    streams_code_is_lost: bent::Bend::CodesAreNotCarried => ["writing_then_dropping_is_a_reset", "the_end_of_file_stays", "a_writer_is_told_that_its_reader_has_finished_and_gone", "a_reset_by_the_reader_ends_a_blocked_write", "a_reset_by_the_writer_ends_a_waiting_read", "a_reset_after_finishing_is_no_silent_loss", "a_reset_after_the_end_changes_nothing", "dropping_with_unread_data_is_a_reset"];
    streams_code_is_changed: bent::Bend::ResetsChangeTheCode => ["a_reset_by_the_reader_ends_a_blocked_write", "a_reset_by_the_writer_ends_a_waiting_read", "a_reset_after_finishing_is_no_silent_loss", "a_reset_after_the_end_changes_nothing"];
    streams_close_is_an_end: bent::Bend::CloseIsAnEnd => ["closing_delivers_what_was_finished_and_tells_the_code", "closing_ends_a_blocked_write"];
    streams_loss_is_an_end: bent::Bend::LossIsAnEnd => ["a_reset_after_the_end_changes_nothing", "cutting_in_the_middle_ends_both_ends_after_what_arrived"];
}

#[test]
fn right_streams_without_codes() {
    let bend = bent::Bend::CodesAreNotCarried;
    let carries = Carries { resets: false, ..Carries::RESETS_AND_CLOSES };
    expect(&suite::streams::properties(), bent::bent(bend, carries), "no codes", &[]);
}

/// The model explains a right muxer, and finds these faults without being told where to look.
#[test]
fn the_model_of_a_stream_finds_faults() {
    use suite::streams::model::find;
    for fault in [muxer::Fault::Nothing, muxer::Fault::StopIsTold] {
        let carries = Carries { stops: fault == muxer::Fault::StopIsTold, ..Carries::RESETS_AND_CLOSES };
        assert_eq!(find(&frames(fault, carries), 256), None, "{fault:?}");
    }
    for fault in [
        muxer::Fault::NoCreditAfterShutdown,
        muxer::Fault::GoneReadersAreNotTold,
        muxer::Fault::ResetIsAnEnd,
        muxer::Fault::ResetEmptiesAFinishedStream,
        muxer::Fault::ResetsOverrideTheEnd,
        muxer::Fault::NoCreditAfterStop,
        muxer::Fault::StopIsTold,
        muxer::Fault::CloseTellsAnotherCode,
        muxer::Fault::LossDropsWhatArrived,
        muxer::Fault::LossOverridesTheEnd,
    ] {
        assert!(find(&frames(fault, Carries::RESETS_AND_CLOSES), 2_000).is_some(), "{fault:?}");
    }
    for bend in [
        bent::Bend::EndedStreamsAreCounted,
        bent::Bend::DropIsAnEnd,
        bent::Bend::DroppedReadersSayNothing,
        bent::Bend::FinishEndsReading,
        bent::Bend::TheEndIsReadOnce,
        bent::Bend::WritesAfterTheEndVanish,
        bent::Bend::StopIsAReset,
        bent::Bend::CodesAreNotCarried,
        bent::Bend::ResetsChangeTheCode,
        bent::Bend::CloseIsAnEnd,
        bent::Bend::LossIsAnEnd,
    ] {
        assert!(find(&bent::bent(bend, Carries::RESETS_AND_CLOSES), 2_000).is_some(), "{bend:?}");
    }
}

fn gate_fails(fault: policy::GateFault, failing: &[&str]) {
    let build = move |table| policy::Blocklist::build(fault, table);
    let fixture = suite::gate::Fixture::new("gate.blocklist", r#"deny = ["10.0.0.1", "::1"]"#, build);
    expect(&suite::gate::properties(), fixture, &format!("{fault:?}"), failing);
}

doubles! { gate_fails:
    a_right_gate: policy::GateFault::Nothing => [];
    gate_g1: policy::GateFault::EachObjectHasALotOfItsOwn
        => ["g1_the_same_history_gets_the_same_answers", "g7_again_uses_nothing_up"];
    gate_g2: policy::GateFault::DenialsNameNoRule => ["g2_a_denial_says_why_and_names_the_rule"];
    gate_g2_key: policy::GateFault::DenialsNameNoKey => ["g2_a_denial_says_why_and_names_the_rule"];
    gate_g3: policy::GateFault::BadRulesAreSkipped => ["g3_a_rule_that_is_not_understood_is_an_error"];
    gate_g4: policy::GateFault::LocalhostIsLookedUp => ["g4_a_name_is_judged_without_a_lookup"];
    gate_g6: policy::GateFault::StreamsNeedARule => ["g6_without_rules_everything_passes"];
    gate_again: policy::GateFault::JudgingAgainIsCounted => ["g7_again_uses_nothing_up"];
}

fn service_fails(fault: service::Fault, failing: &[&str]) {
    let build = move || {
        Arc::new(service::Keeper { fault, seen: Mutex::default() }) as Arc<dyn skep_api::service::Service>
    };
    let fixture = suite::service::Fixture::new(build);
    expect(&suite::service::properties(), fixture, &format!("{fault:?}"), failing);
}

doubles! { service_fails:
    a_right_service: service::Fault::Nothing => [];
    service_v0: service::Fault::ItNeedsAPeerStore => ["v0_a_node_with_nothing_is_survived"];
    service_v1_dropped: service::Fault::DialsRunInTheNodesTasks => ["v1_dropping_run_ends_what_it_does"];
    service_v1_end: service::Fault::TheEndIsUnexpected => ["v1_it_may_outlive_the_node"];
    service_v2: service::Fault::EveryPeerIsReported => ["v2_a_report_on_many_peers_is_bounded"];
    service_v3: service::Fault::OnlyWhatIsToldIsActedOn => ["v3_what_was_missed_is_found_all_the_same"];
    service_v4: service::Fault::ATaskOfItsOwn => ["v4_tasks_run_in_the_nodes_scope"];
    service_v5: service::Fault::TheReportIsAList => ["v5_the_report_is_an_object_or_null"];
}

fn pruner_fails(fault: policy::PrunerFault, failing: &[&str]) {
    let build = move || {
        Arc::new(policy::ByValue { fault, asked: AtomicUsize::new(0) }) as Arc<dyn skep_api::pruner::Pruner>
    };
    let fixture = suite::pruner::Fixture::new(build);
    expect(&suite::pruner::properties(), fixture, &format!("{fault:?}"), failing);
}

doubles! { pruner_fails:
    a_right_pruner: policy::PrunerFault::Nothing => [];
    pruner_p0: policy::PrunerFault::RanksNothing => ["p0_something_may_go"];
    pruner_p1: policy::PrunerFault::VictimsComeTwice => ["p1_only_connections_of_the_snapshot_and_each_once"];
    pruner_p2: policy::PrunerFault::EachAnswerIsAnother => ["p2_equal_snapshots_get_equal_answers"];
    pruner_p2_order: policy::PrunerFault::OrderDecides => ["p2_equal_snapshots_get_equal_answers"];
    pruner_p3: policy::PrunerFault::ScoresAreEmpty => ["p3_scores_say_why"];
    pruner_p4: policy::PrunerFault::MarksMove => ["p4_marks_are_in_order_and_stay"];
    pruner_p4_order: policy::PrunerFault::MarksAreReversed => ["p4_marks_are_in_order_and_stay"];
}

fn selector_fails(fault: selector::Fault, failing: &[&str]) {
    let build = move || Arc::new(selector::Newest(fault)) as Arc<dyn skep_api::selector::ConnectionSelector>;
    let fixture = suite::selector::Fixture::new(build);
    expect(&suite::selector::properties(), fixture, &format!("{fault:?}"), failing);
}

doubles! { selector_fails:
    a_right_selector: selector::Fault::Nothing => [];
    selector_e1_unknown: selector::Fault::NamesAnother => ["e1_one_of_those_given_or_none_of_none"];
    selector_e1_silent: selector::Fault::FallsSilent => ["e1_one_of_those_given_or_none_of_none"];
    selector_e3: selector::Fault::LimitedIsAsGood => ["e3_a_limited_one_only_if_all_are"];
}

fn ranker_fails(fault: ranker::Fault, failing: &[&str]) {
    let build = move || {
        Arc::new(ranker::Alphabet { fault, asked: AtomicUsize::new(0) })
            as Arc<dyn skep_api::ranker::DialRanker>
    };
    let fixture = suite::ranker::Fixture::new(build);
    expect(&suite::ranker::properties(), fixture, &format!("{fault:?}"), failing);
}

doubles! { ranker_fails:
    a_right_ranker: ranker::Fault::Nothing => [];
    ranker_k1_lost: ranker::Fault::OneOfMoreThanEightIsLost => ["k1_every_address_comes_back_exactly_once"];
    ranker_k1_twice: ranker::Fault::TheLastComesTwice => ["k1_every_address_comes_back_exactly_once"];
    ranker_k2: ranker::Fault::EveryOtherAnswerIsTurned => ["k2_equal_input_gives_equal_output"];
    ranker_k3: ranker::Fault::TheFirstWaitsLikeTheOthers => ["k3_the_first_address_is_not_held_back"];
    ranker_k4: ranker::Fault::ManyAreWaitedFor => ["k4_a_long_list_is_ranked_without_a_wait"];
}

fn resources_fail(fault: resources::Fault, failing: &[&str]) {
    let build =
        move || Arc::new(resources::Book::new(fault)) as Arc<dyn skep_api::resources::ResourceManager>;
    let fixture = suite::resources::Fixture::new(build);
    expect(&suite::resources::properties(), fixture, &format!("{fault:?}"), failing);
}

doubles! { resources_fail:
    right_resources: resources::Fault::Nothing => [];
    resources_u0: resources::Fault::OutboundHasNoLimit => ["u0_limits_are_enforced"];
    resources_u1_connection: resources::Fault::DeniedConnectionsAreCharged
        => ["u1_a_denied_connection_takes_nothing"];
    resources_u1_move: resources::Fault::DeniedConnectionsMove
        => ["u1_a_denied_move_leaves_everything_where_it_was"];
    resources_u1_stream: resources::Fault::DeniedStreamsAreCharged => ["u1_a_denied_stream_takes_nothing"];
    resources_u1_protocol: resources::Fault::DeniedProtocolsAreCharged
        => ["u1_a_denied_stream_takes_nothing"];
    resources_u1_place: resources::Fault::MovesTakeASecondSlot
        => ["u1_a_move_needs_no_second_slot", "usage_is_no_longer_than_asked"];
    resources_u2_orphans: resources::Fault::OrphansAreLost => ["u2_guards_are_dropped_in_any_order"];
    resources_u2_early: resources::Fault::StreamsEndWithTheirConnection
        => ["u2_guards_are_dropped_in_any_order"];
    resources_u2_late: resources::Fault::RoomIsMadeLater
        => ["u2_what_is_dropped_can_be_taken_again", "u5_nothing_is_kept_of_who_holds_nothing"];
    resources_u3_key: resources::Fault::DenialsNameNoKey => ["u3_a_denial_names_what_to_change"];
    resources_u3_value: resources::Fault::DenialsForgetTheValue => ["u3_a_denial_names_what_to_change"];
    resources_u4: resources::Fault::SumsWrap => ["u4_sums_beyond_all_numbers_are_denied"];
    resources_u5: resources::Fault::PeersAreRemembered => ["u5_nothing_is_kept_of_who_holds_nothing"];
    resources_u6: resources::Fault::OutboundStreamsWait => ["u6_a_full_manager_does_not_wait"];
    resources_usage: resources::Fault::UsageIsEndless => ["usage_is_no_longer_than_asked"];
}

fn resolver_fails(fault: policy::ResolverFault, failing: &[&str]) {
    let fixture =
        suite::resolver::Fixture::in_memory(Arc::new(policy::Localhost(fault)), &["/dnsaddr/loop.test"]);
    expect(&suite::resolver::properties(), fixture, &format!("{fault:?}"), failing);
}

doubles! { resolver_fails:
    a_right_resolver: policy::ResolverFault::Nothing => [];
    resolver_v1: policy::ResolverFault::PlainAddressesLoseTheirPeer
        => ["v1_an_address_without_a_name_comes_back_unchanged"];
    resolver_v2: policy::ResolverFault::UnknownNamesAreEmpty
        => ["v2_a_failure_is_an_error_and_never_an_empty_list"];
    resolver_v3: policy::ResolverFault::ResultsKeepTheirName => ["v3_results_are_few_and_without_names"];
    resolver_v4_time: policy::ResolverFault::LoopsAreFollowed => ["v4_what_leads_on_and_on_is_given_up"];
    resolver_v4_results: policy::ResolverFault::LoopsGiveOneAddressEachTime
        => ["v4_what_leads_on_and_on_is_given_up"];
}

fn peerstore_fails(fault: peerstore::Fault, failing: &[&str]) {
    let disk = peerstore::Disk::default();
    let build = move |table| Ok(peerstore::Shelf::build(fault, &table, &disk));
    let fixture = suite::peerstore::Fixture::new("peerstore.shelf", ("", "path"), build);
    expect(&suite::peerstore::properties(), fixture, &format!("{fault:?}"), failing);
}

doubles! { peerstore_fails:
    a_right_peerstore: peerstore::Fault::Nothing => [];
    peerstore_a1_addrs: peerstore::Fault::OnePeerTakesAllAddresses => ["a1_every_table_is_bounded"];
    peerstore_a1_records: peerstore::Fault::RecordsAreUnbounded => ["a1_every_table_is_bounded"];
    peerstore_a1_newest: peerstore::Fault::NewestGoFirst => ["a1_peers_that_nobody_needs_go_first"];
    peerstore_a1_connected: peerstore::Fault::ConnectedGoLikeOthers => ["a1_peers_that_nobody_needs_go_first"];
    peerstore_a1_protocols: peerstore::Fault::ProtocolsAreUnbounded
        => ["a1_protocols_and_metadata_are_bounded"];
    peerstore_a1_metadata: peerstore::Fault::MetadataIsUnbounded
        => ["a1_protocols_and_metadata_are_bounded"];
    peerstore_a1_refused: peerstore::Fault::RefusedMetadataClearsTheRest
        => ["a1_protocols_and_metadata_are_bounded"];
    peerstore_a2: peerstore::Fault::AddressesStayAWhileLonger => ["a2_an_address_ends_with_its_time"];
    peerstore_a3_adding: peerstore::Fault::AddingAgainSetsTheTime => ["a3_adding_again_never_shortens"];
    peerstore_a3_reclass: peerstore::Fault::ReclassNeverShortens => ["a3_a_reclass_may_shorten"];
    peerstore_a3_classes: peerstore::Fault::ReclassTakesAllClasses => ["a3_a_reclass_may_shorten"];
    peerstore_a5_nothing: peerstore::Fault::FlushWritesNothing
        => ["a5_what_was_flushed_is_there_after_a_restart"];
    peerstore_a5_forgotten: peerstore::Fault::FlushedPeersComeBack
        => ["a5_what_was_flushed_is_there_after_a_restart"];
    peerstore_a6: peerstore::Fault::AnyKeyIsKept => ["a6_only_the_peers_own_key_is_kept"];
    peerstore_a7_older: peerstore::Fault::OlderRecordsReplace => ["a7_only_a_newer_record_is_kept"];
    peerstore_a7_addrs: peerstore::Fault::OldRecordsLeaveTheirAddresses => ["a7_only_a_newer_record_is_kept"];
    peerstore_a8_again: peerstore::Fault::KnownAddressesAreToldAgain => ["a8_new_addresses_are_told_once"];
    peerstore_a8_one: peerstore::Fault::OneSubscriberIsTold
        => ["a8_new_addresses_are_told_once", "a8_a_subscriber_that_does_not_read_holds_up_nobody"];
    peerstore_a8_full: peerstore::Fault::FullQueuesRefuseAddresses
        => ["a8_a_subscriber_that_does_not_read_holds_up_nobody"];
    peerstore_a8_endless: peerstore::Fault::QueuesAreEndless
        => ["a8_a_subscriber_that_does_not_read_holds_up_nobody"];
    peerstore_a9_once: peerstore::Fault::EveryNewAddressIsADiscovery => ["a9_peers_are_discovered_once"];
    peerstore_a9_records: peerstore::Fault::RecordsDiscoverNobody => ["a9_peers_are_discovered_once"];
    peerstore_a9_full: peerstore::Fault::FullQueuesEndDiscoveries
        => ["a9_discoveries_that_nobody_reads_hold_up_nobody"];
    peerstore_a9_endless: peerstore::Fault::DiscoveriesAreEndless
        => ["a9_discoveries_that_nobody_reads_hold_up_nobody"];
    peerstore_that_cannot_tell: peerstore::Fault::DiscoveriesEndAtOnce => [];
    peerstore_suffix: peerstore::Fault::PeersStayAtTheEnd => ["addresses_are_kept_without_the_peer"];
    peerstore_foreign: peerstore::Fault::ForeignAddressesAreKept => ["addresses_are_kept_without_the_peer"];
    peerstore_protocols: peerstore::Fault::ProtocolsAreAdded => ["what_is_kept_comes_back"];
    peerstore_latency: peerstore::Fault::LatencyIsTheLast => ["what_is_kept_comes_back"];
    peerstore_forget: peerstore::Fault::PermanentAddressesAreNotForgotten => ["forgetting_leaves_nothing"];
    peerstore_order: peerstore::Fault::PeersComeAsTheyWereTouched => ["peers_come_in_order"];
}

fn plugin_fails(descriptor: skep_api::Plugin<skep_api::plugin::layer::Gate>, failing: &[&str]) {
    let fixture = suite::plugin::Fixture::of(descriptor);
    expect(&suite::plugin::properties(), fixture, &format!("{descriptor:?}"), failing);
}

doubles! { plugin_fails:
    a_right_plugin: plugin::PLUGIN => [];
    plugin_name: plugin::changed(|p| p.name = "Open-Gate") => ["plugin_name_is_lower_snake_case"];
    plugin_summary: plugin::changed(|p| p.summary = "") => ["plugin_summary_is_one_line"];
    plugin_example: plugin::changed(|p| p.example = "count = \"three\"") => ["plugin_example_builds"];
    plugin_defaults: plugin::changed(|p| p.build = plugin::refuses_defaults) => ["plugin_defaults_build"];
    plugin_required: plugin::changed(|p| p.schema = plugin::requires_too_much) => ["plugin_defaults_build"];
    plugin_right_required: plugin::changed(|p| {
        (p.schema, p.build) = (plugin::requires_too_much, plugin::refuses_defaults);
    }) => [];
    plugin_unknown: plugin::changed(|p| p.build = plugin::ignores_unknown_keys)
        => ["plugin_refuses_unknown_keys_by_path"];
    plugin_types: plugin::changed(|p| p.build = plugin::blurs_wrong_types)
        => ["plugin_refuses_wrong_types_by_path"];
    plugin_described: plugin::changed(|p| p.schema = plugin::undescribed) => ["plugin_describes_every_key"];
    plugin_independent: plugin::changed(|p| p.build = plugin::shares_one_object)
        => ["plugin_builds_independent_objects"];
    plugin_tasks: plugin::changed(|p| p.build = plugin::starts_a_task) => ["plugin_build_starts_no_task"];
}

/// The macros, as the author of a plugin uses them.
mod macros {
    use super::doubles;

    skep_testkit::plugin_suite!(doubles::plugin::PLUGIN);
    skep_testkit::gate_suite!(doubles::plugin::PLUGIN, "");
}
