// What kind of file system holds a path.

#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif
import CKernels

extension PosixFileSystem {
    package func volume(_ path: String) throws(FileError) -> VolumeInfo {
        #if canImport(Darwin)
        var status = statfs()
        try check(.volume, path) { statfs(path, &status) }
        let kind = withUnsafeBytes(of: status.f_fstypename) { name in
            String(decoding: name.prefix { $0 != 0 }, as: UTF8.self)
        }
        let isNetwork = status.f_flags & UInt32(MNT_LOCAL) == 0
        func bytes(_ blocks: UInt64) -> UInt64 {
            let (count, overflow) = blocks.multipliedReportingOverflow(by: UInt64(status.f_bsize))
            return overflow ? .max : count
        }
        let byteCount = bytes(UInt64(status.f_blocks))
        let freeByteCount = bytes(UInt64(status.f_bavail))
        #else
        var magic: UInt32 = 0
        var byteCount: UInt64 = 0
        var freeByteCount: UInt64 = 0
        try check(.volume, path) { mk_volume(path, &magic, &byteCount, &freeByteCount) }
        let (kind, isNetwork) = describe(magic: magic)
        #endif
        return VolumeInfo(
            kind: kind,
            isNetwork: isNetwork,
            byteCount: byteCount,
            freeByteCount: freeByteCount
        )
    }
}

/// Name and reach of a Linux file system by the number `statfs` gives, as in <linux/magic.h>.
func describe(magic: UInt32) -> (kind: String, isNetwork: Bool) {
    switch magic {
    case 0xEF53: ("ext4", false)  // shared by ext2 and ext3
    case 0x5846_5342: ("xfs", false)
    case 0x9123_683E: ("btrfs", false)
    case 0x0102_1994: ("tmpfs", false)
    case 0x794C_7630: ("overlay", false)
    case 0x6573_5546: ("fuse", false)
    case 0x6969: ("nfs", true)
    case 0xFF53_4D42, 0x517B: ("cifs", true)
    case 0xFE53_4D42: ("smb2", true)
    case 0x0102_1997: ("9p", true)
    case 0x00C3_6400: ("ceph", true)
    default: ("0x" + String(magic, radix: 16), false)
    }
}
