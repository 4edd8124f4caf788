"""ResNet-18: the published network with a classifier of its own."""

import torch

from pipeline.networks.classifier import ResNet18Classifier


def test_resnet18_has_the_published_number_of_parameters():
    with torch.device("meta"):
        network = ResNet18Classifier(1000)
    assert sum(parameter.numel() for parameter in network.parameters()) == 11_689_512


def test_only_the_classifier_is_the_head():
    with torch.device("meta"):
        network = ResNet18Classifier(6)
    assert sum(parameter.numel() for parameter in network.head_parameters()) == 512 * 6 + 6
