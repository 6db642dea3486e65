//! Our own implementations are held to what is asked of those of others.

#![allow(clippy::unwrap_used)] // tests

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use lwm2m_server::credentials::{
    Credential, CredentialChanges, CredentialFilter, CredentialId, CredentialLimits,
    CredentialStore, CredentialStoreError, CredentialUpdate, FileCredentials, LookUp,
    MemoryCredentials,
};
use lwm2m_server::{EndpointName, PeerIdentity, conformance};

#[tokio::test]
async fn credentials_in_memory() {
    conformance::credential_store(|| Arc::new(MemoryCredentials::default())).await;
}

#[tokio::test]
async fn credentials_in_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let files = AtomicUsize::new(0);
    conformance::credential_store(|| {
        let number = files.fetch_add(1, Ordering::Relaxed);
        let path = folder.path().join(format!("{number}.json"));
        Arc::new(FileCredentials::open(path, CredentialLimits::default()).unwrap())
    })
    .await;
}

#[tokio::test]
async fn credentials_that_take_their_time() {
    conformance::credential_store(|| Arc::new(Remote::default())).await;
}

/// A store whose answers are never there at once.
#[derive(Default)]
struct Remote(Arc<MemoryCredentials>);

impl Remote {
    fn later<T: Send + 'static>(
        &self,
        ask: impl FnOnce(&MemoryCredentials) -> LookUp<T> + Send + 'static,
    ) -> LookUp<T> {
        let store = Arc::clone(&self.0);
        LookUp::Later(Box::pin(async move {
            tokio::task::yield_now().await;
            ask(&store).await
        }))
    }
}

impl CredentialStore for Remote {
    fn look_up(&self, identity: &PeerIdentity) -> LookUp<Vec<Arc<Credential>>> {
        let identity = identity.clone();
        self.later(move |store| store.look_up(&identity))
    }

    fn covers(&self, endpoint: &EndpointName) -> bool {
        self.0.covers(endpoint)
    }

    fn find(&self, id: &CredentialId) -> LookUp<Option<Arc<Credential>>> {
        let id = id.clone();
        self.later(move |store| store.find(&id))
    }

    fn list(&self, filter: CredentialFilter) -> LookUp<Vec<Arc<Credential>>> {
        self.later(move |store| store.list(filter))
    }

    fn apply(&self, update: CredentialUpdate) -> LookUp<Result<(), CredentialStoreError>> {
        self.later(move |store| store.apply(update))
    }

    fn changes(&self) -> CredentialChanges {
        self.0.changes()
    }
}

/// A store that takes half of an update.
#[derive(Default)]
struct Careless(MemoryCredentials);

impl CredentialStore for Careless {
    fn look_up(&self, identity: &PeerIdentity) -> LookUp<Vec<Arc<Credential>>> {
        self.0.look_up(identity)
    }

    fn covers(&self, endpoint: &EndpointName) -> bool {
        self.0.covers(endpoint)
    }

    fn find(&self, id: &CredentialId) -> LookUp<Option<Arc<Credential>>> {
        self.0.find(id)
    }

    fn list(&self, filter: CredentialFilter) -> LookUp<Vec<Arc<Credential>>> {
        self.0.list(filter)
    }

    fn apply(&self, update: CredentialUpdate) -> LookUp<Result<(), CredentialStoreError>> {
        if update.add.is_empty() {
            return self.0.apply(update);
        }
        let CredentialUpdate { add, remove } = update;
        for (index, credential) in add.into_iter().enumerate() {
            let remove = if index == 0 {
                remove.clone()
            } else {
                Vec::new()
            };
            let one = CredentialUpdate {
                add: vec![credential],
                remove,
            };
            if let LookUp::Now(Err(error)) = self.0.apply(one) {
                return LookUp::Now(Err(match error {
                    CredentialStoreError::Taken { error, .. } => {
                        CredentialStoreError::Taken { index, error }
                    }
                    error => error,
                }));
            }
        }
        LookUp::Now(Ok(()))
    }

    fn changes(&self) -> CredentialChanges {
        self.0.changes()
    }
}

#[tokio::test]
#[should_panic(expected = "half an update was taken")]
async fn a_careless_store_is_found_out() {
    conformance::credential_store(|| Arc::new(Careless::default())).await;
}
