class ModelTester:
    """
    text
    text
    """

    def __init__(self, model_path):
        """
        text

        text:
        - model_path: text
        """

        self.model = torch.load(model_path)
        self.model.eval()

    def test_inference(self, test_inputs):
        """
        text

        text:
        - test_inputs: text

        text:
        - text
        """
        results = []

        with torch.no_grad():
            for input_data in test_inputs:

                if isinstance(input_data, list):
                    input_tensor = torch.tensor(input_data)
                else:
                    input_tensor = input_data

                if input_tensor.dim() == 1:
                    input_tensor = input_tensor.unsqueeze(0)

                start_time = time.time()
                output = self.model(input_tensor)
                end_time = time.time()

                if output.dim() > 1:
                    predictions = torch.softmax(output, dim=1)
                    predicted_class = torch.argmax(predictions, dim=1)
                else:
                    predicted_class = (output > 0.5).float()

                results.append({
                    'input': input_data,
                    'output': output.tolist(),
                    'prediction': predicted_class.tolist(),
                    'inference_time': end_time - start_time
                })

        return results

    def benchmark_performance(self, batch_sizes=[1, 8, 16, 32]):
        """
        text

        text:
        - batch_sizes: text

        text:
        - text
        """
        performance_data = {}

        for batch_size in batch_sizes:

            test_data = torch.randn(batch_size, 100)

            for _ in range(3):
                _ = self.model(test_data)

            times = []
            for _ in range(10):
                start = time.time()
                _ = self.model(test_data)
                end = time.time()
                times.append(end - start)

            avg_time = sum(times) / len(times)
            throughput = batch_size / avg_time

            performance_data[batch_size] = {
                'avg_inference_time': avg_time,
                'throughput': throughput
            }

        return performance_data
