// Appends edits to the manifest and moves it from file to file. Order of writes:
// format-spec/manifest.md and format-spec/root.md.

import MoraineBytes
import MoraineFiles
import MoraineFormat
import MoraineLog
import MoraineStorage

extension Writer {
    /// Appends edits to the manifest, counters added, and applies them to the state.
    ///
    /// - Throws: what the disk says. After a failed write for lack of space the manifest goes on
    ///   where it was; after any other failure the store is poisoned.
    func commitEdits(_ edits: [ManifestEdit]) throws(StoreError) {
        // None is left once the store was closed; work under way comes here behind that.
        guard let manifest else { throw Engine.closedError }
        let all =
            [
                .counters(nextFileID: ids.nextFile, nextCollectionID: ids.nextCollection)
            ] + edits
        var next = state
        do throws(FormatError) {
            for edit in all { try next.apply(edit) }
        } catch {
            // A fault of the engine: refuse rather than write a state that cannot be read back.
            let failure = StoreError(error, path: folder)
            poison(failure)
            throw failure
        }
        do throws(StoreError) {
            try manifest.commit(all)
        } catch {
            if error.code != .noSpace { poison(error) }
            throw error
        }
        state = next
        if manifest.wantsRotation { try rotateManifest() }
    }

    private func rotateManifest() throws(StoreError) {
        guard let old = manifest else { return }
        let id = ids.allocateFile()
        var next = state
        next.nextFileID = ids.nextFile
        next.dropped = try droppedThatRemain()
        let fresh: ManifestWriter
        do throws(StoreError) {
            fresh = try makeManifest(id, of: root, next)
        } catch {
            // No space: the old manifest goes on.
            if error.code == .noSpace { return }
            poison(error)
            throw error
        }
        var newRoot = root
        newRoot.sequence += 1
        newRoot.follow(fresh)
        newRoot.durableLSN = max(root.durableLSN, log?.promised ?? 0, state.floor)
        do throws(StoreError) {
            try writeRoot(newRoot)
        } catch {
            poison(error)
            throw error
        }
        state = next
        manifest = fresh
        old.close()
        removeQuietly(FileNames.manifest(old.id))
    }

    /// Makes a manifest whose first edit is the whole state, and its name durable; after a failure
    /// it is gone.
    ///
    /// - Parameter root: whose epoch and incarnation it bears.
    func makeManifest(_ id: UInt64, of root: Root, _ state: StoreState) throws(StoreError)
        -> ManifestWriter
    {
        do throws(StoreError) {
            let manifest = try ManifestWriter(
                fileSystem,
                folder: folder,
                header: LogHeader(
                    kind: .manifest,
                    storeID: root.storeID,
                    fileID: id,
                    createdLSN: lastLSN,
                    epoch: root.epoch,
                    incarnation: root.incarnation,
                    firstNumber: 1
                ),
                state: state
            )
            try syncFolder(FileNames.manifestFolder)
            return manifest
        } catch {
            removeQuietly(FileNames.manifest(id))
            throw error
        }
    }

    func syncFolder(_ name: String) throws(StoreError) {
        do throws(FileError) {
            try fileSystem.syncDirectory(FileNames.path(folder, name))
        } catch {
            throw StoreError(error, doing: "sync a folder")
        }
    }

    /// Removes a file that nothing refers to; what fails is tried again later.
    func removeQuietly(_ name: String) {
        do throws(FileError) {
            try fileSystem.remove(FileNames.path(folder, name))
        } catch {
            if !error.isNotFound { retire([name]) }
        }
    }
}

extension Root {
    /// Names a manifest, as far as it goes.
    mutating func follow(_ manifest: ManifestWriter) {
        manifestID = manifest.id
        manifestEnd = manifest.end
        manifestEdit = manifest.lastEdit
    }
}
