"""Lines of the table of layers: every loss with its options, and an adaptive softmax."""

from tests.oracle.layer_table import errors, layers

REDUCTIONS = ("mean", "sum", "none")
NUMBERS = (
    "f(5, 4), c(5, 4)",
    "f(4), f(4)",
    "f(3, 1), f(4)",
    "c(), f()",
    "f(0, 3), f(0, 3)",
    "f(3, 4), i(5, 3, 4)",
)
CLASSES = ("f(5, 4), i(4, 5)", "f(4), i(4)", "f(2, 4, 3), i(4, 2, 3)", "f(2, 4, 3, 2), i(4, 2, 3, 2)")
SIGNS = ("f(5, 4), i(2, 5, 4) * 2 - 1", "f(4), i(2, 4) * 2 - 1", "f(3, 4), c(3, 4).sign()")
PROBABILITIES = ("p(5, 4), p(5, 4)", "p(4), b(4).to(c(1).dtype)", "p(0, 3), p(0, 3)", "p(), p()")
LOGITS = ("f(5, 4), p(5, 4)", "f(4), b(4).to(c(1).dtype)", "f(2, 3, 4), p(2, 3, 4)", "f(0, 4), p(0, 4)")

for reduction in REDUCTIONS:
    given = f"reduction='{reduction}'"
    layers(NUMBERS, f"L1Loss({given})", f"MSELoss({given})")
    layers(
        NUMBERS,
        f"SmoothL1Loss({given})",
        f"SmoothL1Loss({given}, beta=0.3)",
        f"SmoothL1Loss({given}, beta=0)",
    )
    layers(
        NUMBERS[:-1], f"HuberLoss({given})", f"HuberLoss('{reduction}', 0.4)", f"HuberLoss({given}, delta=2)"
    )
    layers(
        ("f(5, 4).log_softmax(1).detach().requires_grad_(), i(4, 5)", *CLASSES[1:]),
        f"NLLLoss({given})",
        f"NLLLoss(t.ones(4), {given})",
        f"NLLLoss(ignore_index=2, {given})",
    )
    layers(
        CLASSES,
        f"CrossEntropyLoss({given})",
        f"CrossEntropyLoss(t.ones(4), ignore_index=1, {given})",
        f"CrossEntropyLoss({given}, label_smoothing=0.2)",
        f"CrossEntropyLoss(t.ones(4), ignore_index=1, {given}, label_smoothing=0.1)",
    )
    layers(
        ("f(5, 4), p(5, 4)", "f(4), p(4)", "f(2, 4, 3), p(2, 4, 3)", "f(0, 4), p(0, 4)"),
        f"CrossEntropyLoss({given})",
        f"CrossEntropyLoss(t.ones(4), {given}, label_smoothing=1.0)",
    )
    layers(PROBABILITIES, f"BCELoss({given})")
    layers(("p(5, 4), p(5, 4)",), f"BCELoss(t.ones(4), {given})", f"BCELoss(t.ones(5, 1), {given})")
    layers(
        LOGITS,
        f"BCEWithLogitsLoss({given})",
        f"BCEWithLogitsLoss(t.ones(4), {given})",
        f"BCEWithLogitsLoss({given}, pos_weight=t.ones(4))",
        f"BCEWithLogitsLoss(t.ones(1), {given}, pos_weight=t.ones(4))",
    )
    layers(
        ("f(5, 4), p(5, 4)", "f(3, 4), i(5, 3, 4)", "f(), p()"),
        f"PoissonNLLLoss({given})",
    )
    layers(
        ("p(5, 4), p(5, 4)", "p(5, 4), c(5, 4).exp() * 3"),
        f"PoissonNLLLoss(False, {given})",
        f"PoissonNLLLoss({given}, full=True)",
        f"PoissonNLLLoss({given}, full=True, log_input=False, eps=0.1)",
    )
    layers(
        (
            "f(5, 4), f(5, 4), p(5, 4)",
            "f(3, 4), f(3, 4), p(3, 1)",
            "f(3, 4), f(4), p(3)",
            "f(3, 4), f(3, 4), 0.3",
        ),
        f"GaussianNLLLoss({given})",
        f"GaussianNLLLoss(full=True, eps=0.01, {given})",
    )
    layers(("f(3, 4), f(3, 4), 0.3", "f(3, 4), f(3, 4), p(3, 4)"), f"GaussianNLLLoss(eps=0.5, {given})")
    layers(
        SIGNS, f"HingeEmbeddingLoss({given})", f"HingeEmbeddingLoss(0.3, {given})", f"SoftMarginLoss({given})"
    )
    layers(
        ("f(5, 4), f(5, 4), i(2, 5) * 2 - 1", "f(4), f(4), t.tensor(-1)", "f(3, 4), f(1, 4), c(3).sign()"),
        f"CosineEmbeddingLoss({given})",
        f"CosineEmbeddingLoss(margin=0.2, {given})",
    )
    layers(
        ("f(5), f(5), i(2, 5) * 2 - 1", "f(), f(), t.tensor(1)", "f(3, 4), f(1, 4), f(3, 4).sign()"),
        f"MarginRankingLoss({given})",
        f"MarginRankingLoss(0.5, {given})",
    )
    layers(
        ("f(5, 4), f(5, 4), f(5, 4)", "f(4), f(4), f(4)", "f(2, 3, 4), f(2, 1, 4), f(2, 3, 4)"),
        f"TripletMarginLoss({given})",
        f"TripletMarginLoss(0.5, p=1, eps=0.1, {given})",
        f"TripletMarginLoss(2.0, swap=True, {given})",
        f"TripletMarginWithDistanceLoss({given})",
        f"TripletMarginWithDistanceLoss(margin=2.0, swap=True, {given})",
        f"TripletMarginWithDistanceLoss(distance_function=nn.PairwiseDistance(1), {given})",
    )
    layers(
        ("f(5, 4), i(4, 5)", "f(4), i(4)", "f(4), i(4, 1)"),
        f"MultiMarginLoss({given})",
        f"MultiMarginLoss(2, 0.5, {given})",
        f"MultiMarginLoss(weight=t.ones(4), {given})",
        f"MultiMarginLoss(2, weight=t.ones(4), {given})",
        second_order=False,
    )
    layers(
        ("f(5, 4), i(5, 5, 4) - 1", "f(4), i(5, 4) - 1", "f(3, 4), i(4, 3, 4)"),
        f"MultiLabelMarginLoss({given})",
        second_order=False,
    )
    layers(
        ("f(5, 4), b(5, 4).to(c(1).dtype)", "f(4), p(4)", "f(2, 3, 4), i(2, 2, 3, 4)", "f(3, 4), p(4)"),
        f"MultiLabelSoftMarginLoss({given})",
        f"MultiLabelSoftMarginLoss(t.ones(4), {given})",
    )
    layers(
        (
            "c(6, 3, 5).log_softmax(2), i(4, 3, 3) + 1, t.tensor([6, 5, 6]), t.tensor([3, 2, 0])",
            "c(6, 3, 5).log_softmax(2), i(4, 5) + 1, (6, 5, 6), (2, 2, 1)",
            "c(6, 5).log_softmax(1), i(4, 3) + 1, t.tensor(6), t.tensor(3)",
            "c(6, 1, 5).log_softmax(2), i(4, 1, 3) + 1, [4], [0]",
        ),
        f"CTCLoss({given})",
        f"CTCLoss(0, '{reduction}', True)",
    )
    layers(
        ("f(5, 4), i(7, 5)", "f(4), i(7)"),
        f"LinearCrossEntropyLoss(4, 7, {given})",
        f"LinearCrossEntropyLoss(4, 7, bias=True, weight=t.ones(7), ignore_index=2, {given}, label_smoothing=0.1)",
    )
    layers(
        (
            "f(5, 4), i(7, 5)",
            "f(4), i(7)",
            "f(5, 4), t.tensor([0, 2, 2, 6, 1])",
            "f(3, 4), t.tensor([2, 2, 2])",
            "f(4), t.tensor(2)",
        ),
        f"LinearCrossEntropyLoss(4, 7, {given}, options=nn.LinearCrossEntropyOptions(batch_chunk_size=2))",
        f"LinearCrossEntropyLoss(4, 7, bias=True, weight=t.ones(7), ignore_index=2, {given}, "
        "options=nn.LinearCrossEntropyOptions())",
        second_order=False,
    )
    layers(
        ("f(5, 4), i(3, 5, 2)", "f(5, 4), p(5, 3, 2)"),
        f"LinearCrossEntropyLoss(4, 3, out_features=(2,), bias=True, {given})",
    )

layers(  # the mean warns: test_losses.py
    ("f(5, 4), p(5, 4)", "f(4), p(4)", "f(3, 4), p(4)", "f(0, 4), p(0, 4)", "f(), p()"),
    "KLDivLoss(reduction='sum')",
    "KLDivLoss(reduction='none')",
    "KLDivLoss(reduction='batchmean')",
    "KLDivLoss(reduction='sum', log_target=True)",
    "KLDivLoss(reduction='none', log_target=True)",
    "KLDivLoss(None, None, 'batchmean', True)",
)
layers(CLASSES[2:3], "NLLLoss2d()")
layers(("f(5, 4), c(5, 4)",), "L1Loss(False)", "MSELoss(None, False)", "BCEWithLogitsLoss(None, True, True)")
layers(
    ("f(6, 8), t.tensor([0, 6, 11, 19, 3, 10])", "f(8), i(20)", "f(2, 8), i(5, 2)"),
    "AdaptiveLogSoftmaxWithLoss(8, 20, [5, 10], 2.0)",
    "AdaptiveLogSoftmaxWithLoss(8, 20, cutoffs=[5], head_bias=True)",
)

errors(
    "F.cross_entropy(t.ones(2, 3), [0, 1])",
    "F.cross_entropy(t.ones(2, 3), t.tensor([0, 1]).numpy())",
    "F.cross_entropy([[1.0]], t.tensor([0]))",
    "F.cross_entropy(t.ones(2, 3), t.tensor([0, 1]), [1.0, 1.0, 1.0])",
    "F.nll_loss(t.ones(2, 3), None)",
    "F.mse_loss(t.ones(2), 1.0)",
    "F.binary_cross_entropy(t.ones(2), None)",
    "F.kl_div(t.ones(2), 1.0, reduction='sum')",
    "F.cosine_embedding_loss(t.ones(2, 2), t.ones(2, 2), 1)",
    "F.triplet_margin_loss(t.ones(2, 2), t.ones(2, 2), None)",
    "F.soft_margin_loss(t.ones(2), 1)",
    "F.hinge_embedding_loss(t.ones(2), 1)",
    "F.multi_margin_loss(t.ones(2, 2), [0, 1])",
    "F.poisson_nll_loss(t.ones(2), 1.0)",
    "F.cross_entropy(t.ones(5, 4), t.zeros(3, dtype=t.int64))",
    "F.cross_entropy(t.ones(5, 4), t.zeros(5, 1, dtype=t.int64))",
    "F.cross_entropy(t.ones(5, 4), t.tensor(0))",
    "F.cross_entropy(t.ones(4), t.tensor([0, 1]))",
    "F.cross_entropy(t.ones(2, 4), t.tensor([0, 4]))",
    "F.cross_entropy(t.ones(2, 4), t.tensor([-1, 0]))",
    "F.cross_entropy(t.ones(2, 4, 3), t.full((2, 3), 7))",
    "F.cross_entropy(t.ones(2, 4, 3), t.zeros(2, 5, dtype=t.int64))",
    "F.cross_entropy(t.ones(2, 4, 3, 2), t.zeros(2, 3, dtype=t.int64))",
    "F.cross_entropy(t.ones(2, 4, 3, 2), t.zeros(2, 3, 3, dtype=t.int64))",
    "F.cross_entropy(t.ones(2, 4, 3, 2, 2), t.zeros(2, 3, 2, 3, dtype=t.int64))",
    "F.cross_entropy(t.ones(5, 4), t.zeros(5))",
    "F.cross_entropy(t.ones(5, 4), t.zeros(5, dtype=t.int32))",
    "F.cross_entropy(t.ones(5, 4), t.zeros(5, 4, dtype=t.int64))",
    "F.cross_entropy(t.ones(5, 4), t.ones(5, 4), ignore_index=1)",
    "F.cross_entropy(t.ones(5, 4), t.ones(5, 4), label_smoothing=1.5)",
    "F.cross_entropy(t.ones(5, 4), t.ones(5, 4), weight=t.ones(3))",
    "F.cross_entropy(t.ones(5, 4), t.zeros(5, dtype=t.int64), weight=t.ones(3))",
    "F.cross_entropy(t.ones(5, 4), t.zeros(5, dtype=t.int64), weight=t.ones(4).double())",
    "F.cross_entropy(t.ones(5, 4), t.zeros(5, dtype=t.int64), weight=t.ones(4, requires_grad=True))",
    "F.cross_entropy(t.ones(5, 4).long(), t.zeros(5, dtype=t.int64))",
    "F.cross_entropy(t.ones(5, 4), t.zeros(5, dtype=t.int64), reduction='median')",
    "F.cross_entropy(t.tensor(1.0), t.tensor(0.5))",
    "F.nll_loss(t.tensor(1.0), t.tensor(0))",
    "F.nll_loss(t.ones(5, 4).long(), t.zeros(5, dtype=t.int64))",
    "F.nll_loss(t.ones(4), t.zeros(1, 1, dtype=t.int64))",
    "F.nll_loss(t.ones(2, 4, 3), t.zeros(2, 3, dtype=t.uint8))",
    "F.mse_loss(t.ones(3, 4), t.ones(2, 4))",
    "F.mse_loss(t.ones(3).long(), t.ones(3).long())",
    "F.mse_loss(t.ones(3, 4), t.ones(3, 4), weight=t.ones(4))",
    "F.mse_loss(t.ones(3, 4), t.ones(3, 4), weight=t.ones(3, 4), reduction='median')",
    "F.mse_loss(t.ones(3), t.ones(3), reduction='median')",
    "F.l1_loss(t.ones(3).long(), t.ones(3).long())",
    "F.l1_loss(t.ones(3), t.ones(3), weight=t.ones(2))",
    "F.smooth_l1_loss(t.ones(3), t.ones(3), beta=-1)",
    "F.huber_loss(t.ones(3), t.ones(3), delta=0)",
    "F.huber_loss(t.ones(3).long(), t.ones(3))",
    "F.huber_loss(t.ones(3), t.ones(3), weight=t.ones(2))",
    "F.huber_loss(t.ones(3, requires_grad=True), t.ones(3).double()).backward()",
    "nn.HuberLoss(delta='1')",
    "F.binary_cross_entropy(t.tensor([0.5, 1.5]), t.ones(2))",
    "F.binary_cross_entropy(t.tensor([0.5, float('nan')]), t.ones(2))",
    "F.binary_cross_entropy(t.tensor([0.5, 0.5]), t.ones(2) * 2)",
    "F.binary_cross_entropy(t.ones(3, 1), t.ones(3))",
    "F.binary_cross_entropy(t.ones(3), t.ones(3).long())",
    "F.binary_cross_entropy(t.ones(3), t.ones(3), weight=t.ones(2, 3))",
    "F.binary_cross_entropy(t.ones(3), t.ones(3), weight=t.ones(2))",
    "F.binary_cross_entropy(t.ones(3), t.ones(3), weight=t.ones(3, requires_grad=True))",
    "F.binary_cross_entropy_with_logits(t.ones(3, 1), t.ones(3))",
    "F.binary_cross_entropy_with_logits(t.ones(3), t.ones(3).long())",
    "F.binary_cross_entropy_with_logits(t.ones(3), t.ones(3).bool())",
    "F.binary_cross_entropy_with_logits(t.ones(3), t.ones(3), pos_weight=t.ones(2))",
    "F.kl_div(t.ones(3), t.ones(3).long())",
    "F.kl_div(t.ones(3), t.ones(3), reduction='median')",
    "F.poisson_nll_loss(t.ones(3), t.ones(3), reduction='batchmean')",
    "F.gaussian_nll_loss(t.ones(3, 4), t.ones(3, 4), t.ones(4))",
    "F.gaussian_nll_loss(t.ones(3, 4), t.ones(3, 4), t.ones(3, 4) * -1)",
    "F.gaussian_nll_loss(t.ones(3, 4), t.ones(3, 4), -1.0)",
    "F.gaussian_nll_loss(t.ones(3, 4), t.ones(3, 4), 1)",
    "F.gaussian_nll_loss(t.ones(3), t.ones(3), t.ones(3), reduction='median')",
    "F.soft_margin_loss(t.ones(4), t.ones(3, 4))",
    "F.soft_margin_loss(t.ones(3), t.ones(3, requires_grad=True))",
    "F.soft_margin_loss(t.ones(3).long(), t.ones(3))",
    "F.soft_margin_loss(t.ones(3, requires_grad=True), t.ones(3).bool()).backward()",
    "F.soft_margin_loss(t.ones(3).bool(), t.ones(3))",
    "F.hinge_embedding_loss(t.ones(3).long(), t.ones(3))",
    "F.hinge_embedding_loss(t.ones(3).bool(), t.ones(3))",
    "F.cosine_embedding_loss(t.ones(3, 4), t.ones(3, 4), t.tensor(1))",
    "F.cosine_embedding_loss(t.ones(3, 4), t.ones(3, 4), t.ones(3, 1))",
    "F.cosine_embedding_loss(t.ones(3, 4), t.ones(4), t.ones(3))",
    "F.margin_ranking_loss(t.ones(3), t.ones(3, 4), t.ones(3))",
    "F.margin_ranking_loss(t.ones(3), t.ones(4), t.ones(3))",
    "F.triplet_margin_loss(t.ones(3, 4), t.ones(3, 4), t.ones(4))",
    "F.triplet_margin_loss(t.ones(3, 4), t.ones(3, 4), t.ones(3, 4), margin=0)",
    "nn.TripletMarginLoss(-1.5)",
    "nn.TripletMarginWithDistanceLoss(margin=-1.5)",
    "F.triplet_margin_with_distance_loss(t.ones(3, 4), t.ones(4), t.ones(4))",
    "F.triplet_margin_with_distance_loss(t.ones(4), t.ones(4), t.ones(4), reduction='median')",
    "F.multi_margin_loss(t.ones(3, 4), t.zeros(2, dtype=t.int64))",
    "F.multi_margin_loss(t.ones(2, 3, 4), t.zeros(2, dtype=t.int64))",
    "F.multi_margin_loss(t.ones(1, 4), t.tensor([4]))",
    "F.multi_margin_loss(t.ones(1, 4), t.tensor([0.0]))",
    "F.multi_margin_loss(t.ones(1, 4).half(), t.tensor([0]))",
    "F.multi_margin_loss(t.ones(1, 4), t.tensor([0]), p=3)",
    "F.multi_margin_loss(t.ones(1, 4), t.tensor([0]), weight=t.ones(3))",
    "F.multi_margin_loss(t.ones(1, 4), t.tensor([0]), weight=t.ones(1, 4))",
    "F.multi_margin_loss(t.ones(1, 4), t.tensor([0]), weight=t.ones(4).double())",
    "nn.MultiMarginLoss(3)",
    "nn.MultiMarginLoss(weight=t.ones(1, 4))",
    "F.multilabel_margin_loss(t.ones(3, 4), t.zeros(3, dtype=t.int64))",
    "F.multilabel_margin_loss(t.ones(4), t.tensor([4, -1, -1, -1]))",
    "F.multilabel_margin_loss(t.ones(4), t.tensor([-2, -1, -1, -1]))",
    "F.multilabel_margin_loss(t.ones(2, 3, 4), t.zeros(2, 3, 4, dtype=t.int64))",
    "F.multilabel_soft_margin_loss(t.ones(3, 4), t.ones(3, 4), weight=t.ones(3))",
    "F.multilabel_soft_margin_loss(t.ones(3, 4), t.ones(3, 4).bool())",
    "F.multilabel_soft_margin_loss(t.tensor(1.0), t.tensor(1.0))",
    "F.ctc_loss(t.zeros(6, 3, 5), t.ones(3, 3).long(), (7, 5, 4), (3, 2, 1))",
    "F.ctc_loss(t.zeros(6, 3, 5), t.ones(3, 3).long(), (6, 5), (3, 2, 1))",
    "F.ctc_loss(t.zeros(6, 3, 5), t.ones(3, 3).long(), (6, 5, 4), (3, 2))",
    "F.ctc_loss(t.zeros(6, 3, 5), t.ones(3, 3).long(), (6, 5, 4), (4, 2, 1))",
    "F.ctc_loss(t.zeros(6, 3, 5), t.ones(5).long(), (6, 5, 4), (3, 2, 1))",
    "F.ctc_loss(t.zeros(6, 3, 5), t.ones(3, 3).long(), (6, 5, -4), (3, 2, 1))",
    "F.ctc_loss(t.zeros(6, 3, 5), t.ones(3, 3).long(), (6, 5, 4), (3, 2, -1))",
    "F.ctc_loss(t.zeros(6, 3, 5), t.ones(3, 3).long(), (6, 5, 4), (3, 2, 1), blank=5)",
    "F.ctc_loss(t.zeros(6, 3, 5).half(), t.ones(3, 3).long(), (6, 5, 4), (3, 2, 1))",
    "F.ctc_loss(t.zeros(6, 0, 5), t.ones(0, 3).long(), (), ())",
    "F.ctc_loss(t.zeros(6, 3, 5), t.ones(3, 3).long(), t.ones(3), t.ones(3))",
    "F.ctc_loss(t.zeros(6, 3, 5), t.ones(2, 3).long(), (6, 5, 4), (3, 2, 1))",
    "F.ctc_loss(t.zeros(5), t.ones(3).long(), (6,), (3,))",
    "nn.AdaptiveLogSoftmaxWithLoss(8, 20, [])",
    "nn.AdaptiveLogSoftmaxWithLoss(8, 20, [5, 3])",
    "nn.AdaptiveLogSoftmaxWithLoss(8, 20, [20])",
    "nn.AdaptiveLogSoftmaxWithLoss(8, 20, [5, 10])(t.ones(4, 8), t.tensor([0, 1]))",
    "nn.AdaptiveLogSoftmaxWithLoss(8, 20, [5, 10])(t.ones(2, 8), t.tensor([0, 20]))",
    "nn.AdaptiveLogSoftmaxWithLoss(8, 20, [5, 10])(t.ones(2, 8), t.tensor([[0], [1]]))",
    "nn.AdaptiveLogSoftmaxWithLoss(8, 20, [5, 10])(t.ones(2, 8), t.tensor(0))",
    "F.linear_cross_entropy(t.ones(3, 5), t.ones(7, 4), t.zeros(3).long())",
    "F.linear_cross_entropy(t.ones(2, 3, 5), t.ones(7, 5), t.zeros(3).long())",
    "F.linear_cross_entropy(t.ones(3, 5), t.ones(5), t.zeros(3).long())",
    "F.linear_cross_entropy(t.ones(5), t.ones(7, 2, 5), t.zeros(2).long())",
    "F.linear_cross_entropy(t.ones(3, 5), t.ones(7, 5), t.zeros(3).long(), linear_bias=t.ones(6))",
    "F.linear_cross_entropy(t.ones(3, 5), t.ones(7, 5), t.ones(3, 7), ignore_index=1)",
    "nn.LinearCrossEntropyLoss(5, 7, weight=t.ones(6))",
    "nn.LinearCrossEntropyLoss(5, 7, label_smoothing=1.5)",
    "nn.LinearCrossEntropyOptions(batch_chunk_size=0)",
    "nn.LinearCrossEntropyOptions(chunking_method='aspect_ratio:0')",
    "nn.LinearCrossEntropyOptions(acc_policy='fast')",
    "nn.LinearCrossEntropyOptions(acc_dtype=t.int32)",
)
