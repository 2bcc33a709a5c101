//! What handlers need: cheap handles, each asked for by its type.

use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::extract::FromRef;

use crate::access::Access;
use crate::audit::Audit;
use crate::conversation::Conversations;
use crate::dispatch::{Dispatcher, Evaluations, Feedback};
use crate::ledger::Ledger;
use crate::limits::Limits;
use crate::provider::Providers;
use crate::registry::Registry;
use crate::telemetry::metrics::Metrics;
use crate::tools::{StoredToolServers, ToolServers};

#[derive(Debug, Clone)]
pub struct Settings {
    /// Largest request body, in bytes.
    pub body_bytes: usize,
    /// How long a caller may take to send the head of a request, and its body.
    pub request_timeout: Duration,
    /// How long the status of a stream waits for the first content.
    pub hold: Duration,
    /// How often a silent stream says that it lives.
    pub keep_alive_interval: Duration,
    /// Whether `/metrics` is for holders of a key alone.
    pub metrics_require_key: bool,
}

/// All handles. Each request clones them several times, with the services that they are in: they have one count for
/// that, and not one each.
#[derive(Debug, Clone)]
pub struct AppState(Arc<Handles>);

impl AppState {
    pub fn new(handles: Handles) -> Self {
        Self(Arc::new(handles))
    }
}

impl Deref for AppState {
    type Target = Handles;

    fn deref(&self) -> &Handles {
        &self.0
    }
}

/// The handles, each of which handlers may ask for by its type.
macro_rules! handles {
    ($($name:ident: $handle:ty),+ $(,)?) => {
        #[derive(Debug)]
        pub struct Handles {
            $(pub $name: $handle,)+
        }

        $(impl FromRef<AppState> for $handle {
            fn from_ref(state: &AppState) -> Self {
                state.$name.clone()
            }
        })+
    };
}

handles! {
    access: Access,
    audit: Audit,
    conversations: Conversations,
    dispatcher: Dispatcher,
    feedback: Feedback,
    evaluations: Evaluations,
    ledger: Ledger,
    limits: Limits,
    metrics: Metrics,
    providers: Providers,
    registry: Registry,
    tool_servers: ToolServers,
    stored_tool_servers: StoredToolServers,
    readiness: Readiness,
    settings: Settings,
}

/// Whether the service should be given requests.
#[derive(Debug, Clone, Default)]
pub struct Readiness {
    flags: Arc<Flags>,
}

#[derive(Debug, Default)]
struct Flags {
    has_synced: AtomicBool,
    is_stopping: AtomicBool,
    /// As it was last seen. A service starts with a database that is up.
    is_database_down: AtomicBool,
}

impl Readiness {
    /// The first sync is applied.
    pub fn set_synced(&self) {
        self.flags.has_synced.store(true, Ordering::Release);
    }

    /// The service is to be sent no more requests.
    pub fn set_stopping(&self) {
        self.flags.is_stopping.store(true, Ordering::Release);
    }

    pub fn set_database_up(&self, is_up: bool) {
        self.flags.is_database_down.store(!is_up, Ordering::Release);
    }

    pub fn is_database_up(&self) -> bool {
        !self.flags.is_database_down.load(Ordering::Acquire)
    }

    pub fn has_synced(&self) -> bool {
        self.flags.has_synced.load(Ordering::Acquire)
    }

    pub fn is_stopping(&self) -> bool {
        self.flags.is_stopping.load(Ordering::Acquire)
    }
}
