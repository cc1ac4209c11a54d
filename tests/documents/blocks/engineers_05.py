class FeatureAnalyzer:
    """
    text
    text
    """

    def __init__(self, model):
        self.model = model
        self.activations = {}

        self._register_hooks()

    def _register_hooks(self):
        """text"""
        def get_activation(name):
            def hook(model, input, output):
                self.activations[name] = output.detach()
            return hook

        self.model.embedding.register_forward_hook(get_activation('embedding'))
        self.model.lstm.register_forward_hook(get_activation('lstm'))
        self.model.fc.register_forward_hook(get_activation('fc'))

    def analyze_features(self, input_data):
        """text"""
        self.activations.clear()

        with torch.no_grad():
            _ = self.model(input_data)

        analysis = {}
        for layer_name, activation in self.activations.items():
            analysis[layer_name] = {
                'shape': activation.shape,
                'mean': activation.mean().item(),
                'std': activation.std().item(),
                'min': activation.min().item(),
                'max': activation.max().item()
            }

        return analysis
