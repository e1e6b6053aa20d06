//! Runs properties, each in a runtime of its own and bounded in time.

use std::{
    any::Any,
    fmt,
    future::Future,
    pin::Pin,
    sync::mpsc::{RecvTimeoutError, sync_channel},
    thread,
    time::Duration,
};

/// How long a property may take where time runs.
const LIMIT: Duration = Duration::from_secs(20);

/// How long a property may take on a paused clock, where waiting costs nothing.
const PAUSED_LIMIT: Duration = Duration::from_secs(600);

/// How long a property may take by the wall, for one that spins and so keeps its own clock from advancing.
const WALL_LIMIT: Duration = Duration::from_secs(60);

/// What a property says: it holds, or how it is broken.
pub type Outcome = Result<(), Broken>;

/// How a property is broken, in words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broken(pub String);

/// The future of a property.
pub type Check = Pin<Box<dyn Future<Output = Outcome> + Send>>;

/// Which clock a property runs under.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Clock {
    /// Time stands still while there is work, and jumps to the next timer when there is none.
    Paused,
    /// Time runs, as real sockets need it.
    Real,
}

/// What a property is run on.
pub trait Fixture: Clone + Send + 'static {
    /// The clock it needs.
    fn clock(&self) -> Clock {
        Clock::Paused
    }
}

/// One obligation of a contract, as a check that can be run on any implementation.
pub struct Property<F> {
    /// The id of the obligation and what it says, as the test is named.
    pub name: &'static str,
    /// Makes the check for one implementation.
    pub check: fn(F) -> Check,
}

/// A property that does not hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The property: [`Property::name`].
    pub property: &'static str,
    /// What was seen and what should have been.
    pub what: String,
}

impl<F: Fixture> Property<F> {
    /// Runs the check in a fresh runtime. A panic and a hang are failures like any other.
    ///
    /// # Errors
    /// The [`Failure`].
    pub fn run(&self, fixture: &F) -> Result<(), Failure> {
        let (fixture, check) = (fixture.clone(), self.check);
        let (sender, receiver) = sync_channel(1);
        let body = move || drop(sender.send(run_here(fixture, check)));
        let thread = thread::Builder::new().name(self.name.to_string()).spawn(body);
        let outcome = match thread.map(|_| receiver.recv_timeout(WALL_LIMIT)) {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(RecvTimeoutError::Timeout)) => broken(format!("it spins: not done in {WALL_LIMIT:?}")),
            Ok(Err(RecvTimeoutError::Disconnected)) => broken("its thread panicked"),
            Err(e) => broken(format!("no thread for the test: {e}")),
        };
        outcome.map_err(|Broken(what)| Failure { property: self.name, what })
    }

    /// Runs the check as the body of a test.
    ///
    /// # Panics
    /// With the [`Failure`] if the property does not hold.
    #[track_caller]
    pub fn assert(&self, fixture: &F) {
        if let Err(failure) = self.run(fixture) {
            panic!("{failure}");
        }
    }
}

/// Runs every property; the failures come back in the order of the properties.
pub fn run_all<F: Fixture>(properties: &[Property<F>], fixture: &F) -> Vec<Failure> {
    properties.iter().filter_map(|property| property.run(fixture).err()).collect()
}

fn run_here<F: Fixture>(fixture: F, check: fn(F) -> Check) -> Outcome {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    builder.enable_all().start_paused(fixture.clock() == Clock::Paused);
    let limit = match fixture.clock() {
        Clock::Paused => PAUSED_LIMIT,
        Clock::Real => LIMIT,
    };
    let runtime = builder.build().during("start a runtime")?;
    let outcome = runtime.block_on(async move {
        // The check is made inside of the runtime and in a task, so that a panic of either is caught.
        let task = tokio::spawn(async move { check(fixture).await });
        match tokio::time::timeout(limit, task).await {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(e)) => broken(panic_text(e)),
            Err(_) => broken(format!("it hangs: not done in {limit:?}")),
        }
    });
    runtime.shutdown_background();
    outcome
}

fn panic_text(error: tokio::task::JoinError) -> String {
    if !error.is_panic() {
        return error.to_string();
    }
    let panic: Box<dyn Any + Send> = error.into_panic();
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_string());
    let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
    format!("it panicked: {}", text.unwrap_or_default())
}

/// The outcome of a property that does not hold.
///
/// # Errors
/// Always.
pub fn broken<T>(what: impl Into<String>) -> Result<T, Broken> {
    Err(Broken(what.into()))
}

/// Turns errors into broken properties.
pub trait During<T> {
    /// The value, or that `what` failed and how.
    ///
    /// # Errors
    /// [`Broken`] with the text of the error.
    fn during(self, what: &str) -> Result<T, Broken>;
}

impl<T, E: fmt::Display> During<T> for Result<T, E> {
    fn during(self, what: &str) -> Result<T, Broken> {
        self.map_err(|e| Broken(format!("{what}: {e}")))
    }
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} does not hold: {}", self.property, self.what)
    }
}

impl std::error::Error for Failure {}

impl<F> fmt::Debug for Property<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Property({})", self.name)
    }
}

/// How often something is polled before it counts as lost; some seconds with [`breathe`] between the polls.
pub(crate) const MOST_POLLS: u32 = 50_000;

/// Lets other tasks go on, and now and then time as well, for what is polled in a loop.
pub(crate) async fn breathe(turn: u32) {
    match turn % 16 {
        15 => tokio::time::sleep(Duration::from_millis(1)).await,
        _ => tokio::task::yield_now().await,
    }
}

/// Ends a property as broken unless the condition holds.
macro_rules! ensure {
    ($condition:expr, $($text:tt)+) => {
        if !$condition {
            return $crate::harness::broken(format!($($text)+));
        }
    };
}
pub(crate) use ensure;

/// Declares the properties of a suite, and the macro that turns them into tests.
///
/// The functions named are those of the module; `$` is passed in because a macro cannot write it.
macro_rules! suite {
    (
        $d:tt $(#[$doc:meta])* $macro:ident in $module:ident, fixture: $fixture:ty $(, for $layer:ident: $bound:path)?;
        $($property:ident),+ $(,)?
    ) => {
        /// The properties of this suite, in the order of the obligations.
        #[must_use]
        pub fn properties $(<$layer: $bound>)? () -> Vec<$crate::harness::Property<$fixture>> {
            vec![$($crate::harness::Property {
                name: stringify!($property),
                check: |fixture| Box::pin($property(fixture)),
            }),+]
        }

        $(#[$doc])*
        #[macro_export]
        macro_rules! $macro {
            ($d($d argument:expr),+ $d(,)?) => { $(
                #[test]
                fn $property() {
                    $crate::harness::Property {
                        name: stringify!($property),
                        check: |fixture| Box::pin($crate::suite::$module::$property(fixture)),
                    }
                    .assert(&$crate::suite::$module::Fixture::of($d($d argument),+));
                }
            )+ };
        }
    };
}
pub(crate) use suite;
