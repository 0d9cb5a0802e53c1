// How vectors are compared.

import MoraineFormat

/// How two vectors are compared; fixed when a collection is made.
public enum Metric: String, Sendable, Hashable, CaseIterable {
    /// The cosine of the angle, -1 to 1. Vectors need not be normalised; zero vectors are refused.
    case cosine
    /// The inner product.
    case dot
    /// The squared Euclidean distance.
    case l2

    init(_ metric: MoraineFormat.Metric) {
        switch metric {
        case .cosine: self = .cosine
        case .dot: self = .dot
        case .l2: self = .l2
        }
    }

    /// The same as the format knows it.
    var stored: MoraineFormat.Metric {
        switch self {
        case .cosine: .cosine
        case .dot: .dot
        case .l2: .l2
        }
    }
}
