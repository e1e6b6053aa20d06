use super::*;
use futures::future::LocalBoxFuture;
use proptest::prelude::*;
use tokio::time::Instant;

const LIMITS: Limits = Limits { outstanding: 2, per_subnet: 1, per_second: 1000, queued: 3 };

fn addr(text: &str) -> Multiaddr {
    text.parse().unwrap()
}

fn budget(limits: Limits) -> Arc<Budget> {
    Budget::new(limits, Tasks::default())
}

/// Starts waiting, and gives the number out when it is its turn.
fn wait(
    budget: &Arc<Budget>,
    priority: Priority,
    at: &str,
) -> tokio::task::JoinHandle<Result<Slot, LimitExceeded>> {
    let (budget, at) = (Arc::clone(budget), addr(at));
    tokio::spawn(async move { budget.acquire(watch::Sender::new(priority).subscribe(), &at).await })
}

async fn settled() {
    for _ in 0..20 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test(start_paused = true)]
async fn the_urgent_go_first_and_the_early_before_the_late() {
    let budget = budget(Limits { queued: 9, ..LIMITS });
    let held =
        [wait(&budget, Priority::User, "/memory/1").await, wait(&budget, Priority::User, "/memory/2").await];
    let mut waiting = Vec::new();
    for (priority, at) in [
        (Priority::AutoConnect, "/memory/3"),
        (Priority::User, "/memory/4"),
        (Priority::Reconnect, "/memory/5"),
        (Priority::User, "/memory/6"),
    ] {
        waiting.push(wait(&budget, priority, at));
        settled().await;
    }
    assert_eq!(budget.load(), (2, 4));
    let mut order = Vec::new();
    let mut slots: Vec<_> = held.into_iter().map(|slot| slot.unwrap().unwrap()).collect();
    while !waiting.is_empty() {
        drop(slots.pop());
        settled().await;
        let done = waiting.iter().position(tokio::task::JoinHandle::is_finished).unwrap();
        order.push(done);
        slots.push(waiting.remove(done).await.unwrap().unwrap());
    }
    // Places in what is left: the two users, then the reconnect, then the auto-connect.
    assert_eq!(order, [1, 2, 1, 0]);
}

#[tokio::test(start_paused = true)]
async fn a_full_queue_refuses_the_least_urgent() {
    let budget = budget(LIMITS);
    let _held =
        [wait(&budget, Priority::User, "/memory/1").await, wait(&budget, Priority::User, "/memory/2").await];
    let first = wait(&budget, Priority::AutoConnect, "/memory/3");
    settled().await;
    let second = wait(&budget, Priority::AutoConnect, "/memory/4");
    settled().await;
    let _third = wait(&budget, Priority::Reconnect, "/memory/5");
    settled().await;
    let refused = wait(&budget, Priority::AutoConnect, "/memory/6").await.unwrap().unwrap_err();
    assert_eq!(refused.to_string(), "dials that wait: 3 of 3 in use; raise `dial.max_queued`");
    let _user = wait(&budget, Priority::User, "/memory/7");
    settled().await;
    assert!(second.await.unwrap().is_err(), "the later of the least urgent makes room");
    assert!(!first.is_finished());
    assert_eq!(budget.load(), (2, 3));
}

#[tokio::test(start_paused = true)]
async fn a_network_that_is_full_holds_up_no_other() {
    let budget = budget(LIMITS);
    let first = wait(&budget, Priority::User, "/ip4/203.0.113.1/tcp/1").await.unwrap().unwrap();
    let same = wait(&budget, Priority::User, "/ip4/203.0.113.2/tcp/1");
    settled().await;
    let other = wait(&budget, Priority::AutoConnect, "/ip4/198.51.100.1/tcp/1").await.unwrap().unwrap();
    assert!(!same.is_finished());
    drop((first, other));
    same.await.unwrap().unwrap();
    let private = budget.load();
    assert_eq!(private, (0, 0));
}

#[tokio::test(start_paused = true)]
async fn public_tries_are_paced_and_private_ones_are_not() {
    let limits = Limits { outstanding: 1000, per_subnet: 1000, per_second: 10, queued: 1000 };
    let budget = budget(limits);
    let begun = Instant::now();
    let public: Vec<_> = (0..50).map(|_| wait(&budget, Priority::User, "/ip4/203.0.113.1/tcp/1")).collect();
    let private: Vec<_> = (0..50).map(|_| wait(&budget, Priority::User, "/ip4/10.0.0.1/tcp/1")).collect();
    for slot in private {
        slot.await.unwrap().unwrap();
    }
    assert_eq!(begun.elapsed(), Duration::ZERO);
    for slot in public {
        slot.await.unwrap().unwrap();
    }
    // A burst of ten, and the other forty at ten a second.
    assert!((Duration::from_millis(3900)..Duration::from_millis(4200)).contains(&begun.elapsed()));
    assert_eq!(budget.load(), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn whoever_becomes_urgent_moves_forward() {
    let budget = budget(LIMITS);
    let held = wait(&budget, Priority::User, "/memory/1").await.unwrap().unwrap();
    let _held = wait(&budget, Priority::User, "/memory/2").await.unwrap().unwrap();
    let first = wait(&budget, Priority::Reconnect, "/memory/3");
    settled().await;
    let urgency = watch::Sender::new(Priority::AutoConnect);
    let (asked, at, rises) = (Arc::clone(&budget), addr("/memory/4"), urgency.subscribe());
    let second = tokio::spawn(async move { asked.acquire(rises, &at).await });
    settled().await;
    urgency.send_replace(Priority::User);
    settled().await;
    drop(held);
    second.await.unwrap().unwrap();
    assert!(!first.is_finished());
}

#[tokio::test(start_paused = true)]
async fn a_full_queue_refuses_nobody_who_could_go() {
    let budget = budget(Limits { outstanding: 9, ..LIMITS });
    let _held = wait(&budget, Priority::User, "/ip4/203.0.113.1/tcp/1").await.unwrap().unwrap();
    let _full: Vec<_> = (0..3).map(|_| wait(&budget, Priority::User, "/ip4/203.0.113.1/tcp/1")).collect();
    settled().await;
    assert_eq!(budget.load(), (1, 3));
    wait(&budget, Priority::AutoConnect, "/memory/1").await.unwrap().unwrap();
}

#[derive(Clone, Debug)]
enum Op {
    Ask(u8, u8),
    Give(prop::sample::Index),
    Leave(prop::sample::Index),
    Time(u64),
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        4 => (0..3_u8, 0..6_u8).prop_map(|(p, a)| Op::Ask(p, a)),
        3 => any::<prop::sample::Index>().prop_map(Op::Give),
        1 => any::<prop::sample::Index>().prop_map(Op::Leave),
        1 => (0..500_u64).prop_map(Op::Time),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    /// Whatever callers do: no cap is exceeded, and at the end nothing is left behind.
    #[test]
    fn no_cap_is_exceeded_and_nothing_is_left(ops in prop::collection::vec(op(), 0..80)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(story(ops))?;
    }
}

async fn story(ops: Vec<Op>) -> Result<(), TestCaseError> {
    let limits = Limits { outstanding: 4, per_subnet: 2, per_second: 5, queued: 6 };
    let budget = budget(limits);
    let mut waiting: Vec<LocalBoxFuture<'static, Result<Slot, LimitExceeded>>> = Vec::new();
    let mut slots = Vec::new();
    for op in ops {
        match op {
            Op::Ask(priority, at) => {
                let priority =
                    [Priority::AutoConnect, Priority::Reconnect, Priority::User][usize::from(priority)];
                let at =
                    ["/ip4/203.0.113.1/tcp/1", "/ip4/198.51.100.1/tcp/1", "/memory/1"][usize::from(at) % 3];
                let (budget, at) = (Arc::clone(&budget), addr(at));
                waiting.push(Box::pin(async move {
                    budget.acquire(watch::Sender::new(priority).subscribe(), &at).await
                }));
            }
            Op::Give(which) if !slots.is_empty() => drop(slots.swap_remove(which.index(slots.len()))),
            Op::Leave(which) if !waiting.is_empty() => drop(waiting.swap_remove(which.index(waiting.len()))),
            Op::Time(ms) => tokio::time::sleep(Duration::from_millis(ms)).await,
            _ => {}
        }
        for mut future in std::mem::take(&mut waiting) {
            match futures::poll!(&mut future) {
                std::task::Poll::Ready(Ok(slot)) => slots.push(slot),
                std::task::Poll::Ready(Err(_)) => {}
                std::task::Poll::Pending => waiting.push(future),
            }
        }
        let state = budget.lock();
        prop_assert!(state.running <= limits.outstanding && state.waiting.len() <= limits.queued);
        prop_assert!(state.running >= slots.len());
        prop_assert!(state.subnets.values().all(|n| *n <= limits.per_subnet));
    }
    drop((waiting, slots));
    tokio::time::sleep(Duration::from_secs(5)).await;
    prop_assert_eq!(budget.load(), (0, 0));
    prop_assert!(budget.lock().subnets.is_empty() && !budget.lock().pacing);
    Ok(())
}
